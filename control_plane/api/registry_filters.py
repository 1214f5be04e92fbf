"""What lists of models and versions can be narrowed to."""

from __future__ import annotations

import math
import re
from typing import Any

import django_filters
from django.db.models import Exists, F, Func, OuterRef, QuerySet, TextField
from django.db.models.fields.json import KeyTransform
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from rest_framework.request import Request

from control_plane.domain.stored_json import pointer_part
from control_plane.domain.violations import InvalidInputError, Violation
from control_plane.registry.models import STATES, Model, ModelVersion

_LISTS = {"limit", "cursor", "search", "ordering", "format"}
_METRIC = re.compile(
    r"(?:(?P<data_set>[^/<>=]{1,100})/)?(?P<name>[^/<>=]{1,100})(?P<test>>=|<=|>|<|=)"
    r"(?P<value>[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?)"
)
_TESTS = {">=": "gte", "<=": "lte", ">": "gt", "<": "lt", "=": "exact"}
_MOST = 10
_FEW_MODELS = 200


class DeclaredFilters(DjangoFilterBackend):
    """The view's `filterset_class`; a parameter that is none of its filters, or has no value, is
    refused.

    One that is passed over in silence would look as if the list was narrowed by it.
    """

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> Any:
        known = _LISTS | set(view.filterset_class.base_filters)
        if unknown := sorted(request.query_params.keys() - known):
            detail = f"no such parameter; known here: {', '.join(sorted(known))}"
            raise InvalidInputError(
                [Violation(f"/{pointer_part(name)}", "unknown", detail) for name in unknown[:20]]
            )
        blank = {name for name, value in request.query_params.items() if not value}
        if empty := sorted(blank - _LISTS):
            detail = "it has no value: give it one, or leave it out"
            raise InvalidInputError([Violation(f"/{name}", "empty", detail) for name in empty])
        return super().filter_queryset(request, queryset, view)


class _Tagged(FilterSet):
    """What models and versions have in common."""

    tag = django_filters.CharFilter(
        method="with_tags", label="a key (team) or a key with its value (team:vision); repeatable"
    )

    def with_tags(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        for tag in self._all("tag"):
            key, colon, word = tag.partition(":")
            rows = (
                rows.filter(tags__contains={key: word}) if colon else rows.filter(tags__has_key=key)
            )
        return rows

    def _all(self, name: str) -> list[str]:
        values = self.data.getlist(name) if hasattr(self.data, "getlist") else [self.data[name]]
        if len(values) > _MOST or any("\0" in value for value in values):
            detail = f"at most {_MOST} of them, without NUL characters"
            raise InvalidInputError([Violation(f"/{name}", "invalid", detail)])
        return values


class ModelFilter(_Tagged):
    """Models by their own words, by an alias they have, and by what versions they have."""

    owner = django_filters.CharFilter()
    alias = django_filters.CharFilter(
        field_name="aliases__name", label="that have this alias, such as champion"
    )
    state = django_filters.ChoiceFilter(
        choices=STATES, method="with_versions", label="that have a version in this state"
    )
    framework = django_filters.CharFilter(
        method="with_versions", label="that have a version of this framework"
    )

    class Meta:
        model = Model
        fields = ()

    def with_versions(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        versions = ModelVersion.objects.filter(model=OuterRef("pk"), **{name: value})
        return rows.filter(Exists(versions))


class VersionFilter(_Tagged):
    """Versions of one model by state, figures, aliases and the like."""

    state = django_filters.ChoiceFilter(choices=STATES)
    framework = django_filters.CharFilter()
    profile = django_filters.CharFilter()
    created_by = django_filters.CharFilter()
    alias = django_filters.CharFilter(field_name="aliases__name")
    metric = django_filters.CharFilter(
        method="with_metrics",
        label="a threshold: accuracy>=0.95, or of a data set: holdout-2026/accuracy>=0.95; "
        "repeatable",
    )

    class Meta:
        model = ModelVersion
        fields = ()

    def with_metrics(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        for i, text in enumerate(self._all("metric")):
            match = _METRIC.fullmatch(text)
            if match is None or not math.isfinite(float(match["value"])):
                detail = f"{text[:80]!r}: a threshold looks like accuracy>=0.95"
                raise InvalidInputError([Violation("/metric", "invalid", detail)])
            where: Any = F("metrics")
            for key in filter(None, (match["data_set"], match["name"])):
                where = KeyTransform(key, where)
            figure, kind = f"figure_{i}", f"kind_{i}"
            # A data set of that name is an object, which compares above every number.
            typed = Func(where, function="jsonb_typeof", output_field=TextField())
            rows = rows.alias(**{figure: where, kind: typed}).filter(
                **{kind: "number", f"{figure}__{_TESTS[match['test']]}": float(match["value"])}
            )
        return rows


class AllVersionsFilter(VersionFilter):
    """Versions of all models."""

    model = django_filters.CharFilter(field_name="model__name", label="of the model of this name")
    search = django_filters.CharFilter(method="of_models", label="in the names of models")

    def of_models(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Of a few models their versions are sorted; of many, the newest are looked through.

        Names have small letters alone. Asked with both, the database would not know from its
        statistics that there are many, and would sort the versions of them all.
        """
        text = value.lower()
        found = Model.objects.filter(name__contains=text).order_by()
        few = list(found.values_list("pk", flat=True)[: _FEW_MODELS + 1])
        if len(few) <= _FEW_MODELS:
            return rows.filter(model__in=few)
        return rows.filter(model__name__contains=text)

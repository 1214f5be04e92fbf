"""What lower rooms ask: where does this version serve, and which endpoints need this server?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from control_plane.domain.planning.model_config import ACCELERATORS
from control_plane.domain.registry.states import Place
from control_plane.domain.registry.uploaded_config import signature_of
from control_plane.domain.signature import Signature
from control_plane.domain.violations import ConflictError
from control_plane.endpoints.models import (
    Placement,
    Revision,
    RevisionPipeline,
    RevisionVersion,
)
from control_plane.endpoints.selectors import get_endpoint, holding, serving_plan
from control_plane.ports.serving import ServedEndpoint

_Arm = Mapping[str, Any]


class RevisionPlaces:
    """`ports.serving.ServingPlaces` over the database.

    A version serves where the revision that serves uses it, and where a server's router still is
    on a revision that does; it is on its way where the present policy's revision uses it.
    """

    def of(self, version_ids: Iterable[UUID]) -> dict[UUID, list[Place]]:
        rows = _serving_or_coming(_uses(RevisionVersion, version_id__in=list(version_ids)))
        return _by_id(rows.values(*_SHOWN, *_OF_VERSIONS), "version_id", _arms_of_version)

    def of_pipelines(self, revision_ids: Iterable[UUID]) -> dict[UUID, list[Place]]:
        rows = _serving_or_coming(_uses(RevisionPipeline, pipeline_id__in=list(revision_ids)))
        return _by_id(rows.values(*_SHOWN, *_OF_PIPELINES), "pipeline_id", _arms_of_pipeline)

    def earlier(self, version_id: UUID) -> dict[str, list[int]]:
        rows = _uses(RevisionVersion, version_id=version_id).exclude(
            Q(serves=True) | Q(switched=True) | Q(revision__generation=F("endpoint_generation"))
        )
        found: dict[str, list[int]] = {}
        names = rows.order_by("revision__endpoint__name", "-revision__number")
        for endpoint, number in names.values_list("revision__endpoint__name", "revision__number"):
            found.setdefault(endpoint, []).append(number)
        return found


class PlacedDuties:
    """`ports.serving.ServerDuties` over the database: what was observed of the placements."""

    def held(self, server_id: UUID) -> list[str]:
        rows = holding(Placement.objects.filter(server=server_id))
        return list(rows.order_by("endpoint__name").values_list("endpoint__name", flat=True))

    def held_alone(self, server_id: UUID) -> list[str]:
        elsewhere = Placement.objects.filter(endpoint=OuterRef("endpoint"), switched__gt=0)
        rows = Placement.objects.filter(
            ~Exists(elsewhere.exclude(server=server_id)),
            server=server_id,
            switched__gt=0,
            endpoint__deleted_at=None,
        )
        return list(rows.order_by("endpoint__name").values_list("endpoint__name", flat=True))


class RoutedEndpoints:
    """`ports.serving.EndpointFacts` over the database: the plan that serves."""

    def served(self, name: str) -> ServedEndpoint:
        endpoint = get_endpoint(name)
        plan = serving_plan(endpoint)
        if plan is None:
            raise ConflictError(f"endpoint {name} serves nothing yet: {endpoint.reason}")
        known = signature_of(plan.router.variants[ACCELERATORS[0]])
        inputs = Signature.from_document(known).inputs if known else ()
        primary = next(planned.arm for planned in plan.arms if planned.arm.primary)
        up = endpoint.placements.filter(switched__gt=0).values_list("server__name", flat=True)
        return ServedEndpoint(
            name=name,
            inputs=inputs,
            max_batch_size=plan.max_batch_size,
            primary=None if primary.pipeline else primary.key,
            servers=frozenset(up),
        )


_SHOWN = (
    "revision__number",
    "revision__endpoint__name",
    "revision__policy__arms",
    "serves",
    "switched",
)
_OF_VERSIONS = (
    *("version_id", "version__number", "version__model__name"),
    *("revision__plan__arms", "revision__plan__pipelines"),
)
_OF_PIPELINES = ("pipeline_id", "pipeline__number", "pipeline__pipeline__name")

_Use = TypeVar("_Use", RevisionVersion, RevisionPipeline)


def _uses(uses: type[_Use], **which: Any) -> QuerySet[_Use]:
    """Uses of either, each with whether its revision serves, or a server is still on it."""
    newer = Revision.objects.filter(
        endpoint=OuterRef("revision__endpoint"),
        served_from__isnull=False,
        number__gt=OuterRef("revision__number"),
    )
    switched = Placement.objects.filter(
        endpoint=OuterRef("revision__endpoint"), switched=OuterRef("revision__generation")
    )
    return uses._default_manager.filter(**which).annotate(
        endpoint_generation=F("revision__endpoint__generation"),
        serves=Q(revision__served_from__isnull=False) & ~Exists(newer),
        switched=Exists(switched),
    )


def _by_id(
    rows: QuerySet[Any], key: str, arms: Callable[..., list[_Arm]]
) -> dict[UUID, list[Place]]:
    """One line per endpoint: what serves, in its newest revision, before what is coming."""
    found: dict[UUID, dict[str, Place]] = {}
    for row in rows.order_by("revision__endpoint__name", "revision__number"):
        place = _place(row, arms(row))
        places = found.setdefault(row[key], {})
        if place.live or place.endpoint not in places:
            places[place.endpoint] = place
    return {one: list(places.values()) for one, places in found.items()}


def _serving_or_coming(rows: QuerySet[_Use]) -> QuerySet[_Use]:
    return rows.filter(
        Q(serves=True) | Q(switched=True) | Q(revision__generation=F("endpoint_generation"))
    )


def _arms_of_version(row: Mapping[str, Any]) -> list[_Arm]:
    """The arms that a version answers for: itself, and pipelines that it is a step of."""
    model, number = row["version__model__name"], row["version__number"]
    found = [
        arm
        for arm in row["revision__policy__arms"] or ()
        if (arm.get("model"), arm.get("version")) == (model, number)
    ]
    physical = {
        name
        for name, steps in (row["revision__plan__pipelines"] or {}).items()
        if any((step["model"], step["version"]) == (model, number) for step in steps)
    }
    names = {
        arm["name"] for arm in row["revision__plan__arms"] or () if arm["physical"] in physical
    }
    return found + [arm for arm in row["revision__policy__arms"] or () if arm.get("name") in names]


def _arms_of_pipeline(row: Mapping[str, Any]) -> list[_Arm]:
    named = (row["pipeline__pipeline__name"], row["pipeline__number"])
    return [
        arm
        for arm in row["revision__policy__arms"] or ()
        if (arm.get("pipeline"), arm.get("revision")) == named
    ]


def _place(row: Mapping[str, Any], arms: Sequence[_Arm]) -> Place:
    inner = [f"{arm['pipeline']}:{arm['revision']}" for arm in arms if arm.get("pipeline")]
    return Place(
        endpoint=row["revision__endpoint__name"],
        revision=row["revision__number"],
        arm=", ".join(str(arm.get("name", "")) for arm in arms),
        share=sum(float(arm.get("weight", 0)) for arm in arms),
        live=bool(row["serves"] or row["switched"]),
        pipeline=", ".join(inner),
    )

"""What every resource's views share: the caller's name, bodies, lists, the present URLs."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework import serializers
from rest_framework.filters import BaseFilterBackend, SearchFilter
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from control_plane.access.selectors import allowed_names
from control_plane.access.targets import only_named
from control_plane.api.idempotency import answered_once, watch_parts
from control_plane.api.pagination import AllowedOrdering
from control_plane.api.parsers import StrictJSONParser
from control_plane.domain.access import Kind
from control_plane.domain.stored_json import pointer_part
from control_plane.domain.violations import InvalidInputError, Violation

_MAX_UNKNOWN = 20


class OnlyVisible(BaseFilterBackend):
    """Of a list, what the caller may see: everything, or what there is a grant for."""

    def filter_queryset(
        self, request: Request, queryset: QuerySet[Any], view: Any
    ) -> QuerySet[Any]:
        if view.kind is None:
            return queryset
        return only_named(queryset, allowed_names(request.user, view.read_permission, view.kind))


class ResourceView(APIView):
    """A view of one resource; `ordering_fields` is the allow-list of a list's `?ordering=`.

    `kind`, `read_permission` and `write_permission` say who may: see `RecordPermission`.
    """

    kind: Kind | None = None
    read_permission: str = "registry.view_model"
    counted_as_write = True
    parser_classes: Any = (StrictJSONParser,)
    filter_backends: Any = (OnlyVisible, SearchFilter, AllowedOrdering)
    ordering_fields: tuple[str, ...] = ("name", "created_at")

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "post" in cls.__dict__:
            cls.post = answered_once(cls.__dict__["post"])

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        watch_parts(request)
        return super().initialize_request(request, *args, **kwargs)

    def target_name(self, request: Request) -> str | None:
        """The model's or endpoint's name that a grant has to be on: that in the path, or of what
        the request makes; None: it is about none in particular."""
        if (name := self.kwargs.get("name")) is not None:
            return str(name)
        body = None if request.method in SAFE_METHODS else request.data
        name = body.get("name") if isinstance(body, dict) else None
        return name if isinstance(name, str) else None

    @property
    def actor(self) -> str:
        """The caller's name, for the audit record."""
        return str(self.request.user.get_username())


def link(request: Request, view: str, **kwargs: Any) -> str:
    """The absolute URL of a named view."""
    return str(reverse(f"api:{view}", kwargs=kwargs, request=request))


def read_body(form: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The body as the serializer's values.

    Raises:
        InvalidInputError: it is no JSON object, or has a field that is not known.
        ValidationError: a field has a value that it cannot have.
    """
    return read_object(form, request.data)


def read_object(
    form: type[serializers.Serializer[Any]], document: object, where: str = ""
) -> dict[str, Any]:
    """A JSON object as the serializer's values; `where` is its own JSON pointer."""
    if not isinstance(document, dict):
        raise InvalidInputError([Violation(where, "type", "not a JSON object")])
    body = form(data=document)
    # A misspelt field that is passed over in silence looks to its sender as if it was obeyed.
    if unknown := sorted(document.keys() - set(body.fields))[:_MAX_UNKNOWN]:
        detail = f"unknown field; known here: {', '.join(sorted(body.fields))}"
        raise InvalidInputError(
            [Violation(f"{where}/{pointer_part(name)}", "unknown", detail) for name in unknown]
        )
    if not body.is_valid():
        errors = {where.removeprefix("/"): body.errors} if where else body.errors
        raise serializers.ValidationError(errors)
    return dict(body.validated_data)

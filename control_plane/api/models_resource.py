"""`/models/`."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.filters import SearchFilter
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane.api.conditions import IF_MATCH, EditableView
from control_plane.api.fields import TextField
from control_plane.api.pagination import AllowedOrdering
from control_plane.api.registry_fields import SlaField, TagsField
from control_plane.api.registry_filters import DeclaredFilters, ModelFilter
from control_plane.api.resource import OnlyVisible, ResourceView, link, read_body
from control_plane.domain.access import Kind
from control_plane.registry.models import Model
from control_plane.registry.selectors import get_model, shown_models
from control_plane.registry.services import create_model, delete_model, locked_model, update_model


class ModelSerializer(serializers.ModelSerializer[Model]):
    """A model as the API shows it."""

    latest_version = serializers.IntegerField(source="highest", allow_null=True)
    aliases = serializers.SerializerMethodField()
    sla = SlaField()

    class Meta:
        model = Model
        fields = (
            "name",
            "description",
            "owner",
            "tags",
            "sla",
            "latest_version",
            "aliases",
            "created_at",
            "created_by",
        )

    def get_aliases(self, model: Model) -> dict[str, int]:
        """Alias -> the number of the version that it points to."""
        return {alias.name: alias.version.number for alias in model.aliases.all()}


class ModelRequest(serializers.Serializer[Any]):
    """What makes a model."""

    name = TextField(max_length=200)
    description = TextField(required=False, allow_blank=True, default="")
    owner = TextField(required=False, allow_blank=True, default="", max_length=150)
    tags = TagsField(required=False, default=dict)
    sla = SlaField(required=False, default=None)


class ModelPatch(serializers.Serializer[Any]):
    """What can be changed of a model: tags and service level are merged, null removes."""

    description = TextField(required=False, allow_blank=True)
    owner = TextField(required=False, allow_blank=True, max_length=150)
    tags = TagsField(required=False, removing=True)
    sla = SlaField(required=False)


EXAMPLE = OpenApiExample(
    "digits",
    value={
        "name": "digits",
        "description": "Handwritten digits, **8 x 8** pixels",
        "tags": {"team": "vision"},
        "sla": {"p99_ms": 20, "availability_percent": 99.9, "required_qps": 500},
    },
    request_only=True,
)


class ModelsView(ResourceView, ListAPIView[Model]):
    """All models."""

    kind = Kind.MODEL
    queryset = shown_models()
    serializer_class = ModelSerializer
    filter_backends = (OnlyVisible, DeclaredFilters, SearchFilter, AllowedOrdering)
    filterset_class = ModelFilter
    search_fields = ("name", "description", "owner")
    write_permission = "registry.add_model"

    @extend_schema(request=ModelRequest, responses={201: ModelSerializer}, examples=[EXAMPLE])
    def post(self, request: Request) -> Response:
        """Adds a model."""
        model = create_model(actor=self.actor, **read_body(ModelRequest, request))
        location = link(request, "model", name=model.name)
        return Response(_document(model.name), status=201, headers={"Location": location})


class ModelView(EditableView):
    """One model."""

    kind = Kind.MODEL
    tag_fields = ("name", "created_at", "description", "owner", "tags", "sla")

    def lock(self, **path: Any) -> object:
        return locked_model(path["name"])

    def shown(self, **path: Any) -> dict[str, Any]:
        return _document(path["name"])

    @property
    def write_permission(self) -> str:
        return (
            "registry.delete_model" if self.request.method == "DELETE" else "registry.change_model"
        )

    @extend_schema(responses=ModelSerializer)
    def get(self, request: Request, name: str) -> Response:
        """One model."""
        return Response(_document(name))

    @extend_schema(request=ModelPatch, responses=ModelSerializer, parameters=[IF_MATCH])
    def patch(self, request: Request, name: str) -> Response:
        """Changes description, owner, tags or service level (JSON merge patch)."""
        update_model(name=name, actor=self.actor, changes=read_body(ModelPatch, request))
        return Response(_document(name))

    @extend_schema(responses={204: None}, parameters=[IF_MATCH])
    def delete(self, request: Request, name: str) -> Response:
        """Removes a model without versions."""
        delete_model(name=name, actor=self.actor)
        return Response(status=204)


def _document(name: str) -> dict[str, Any]:
    return dict(ModelSerializer(get_model(name, shown_models())).data)

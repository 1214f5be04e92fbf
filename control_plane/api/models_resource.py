"""`/models/`."""

from __future__ import annotations

from typing import Any

from django.db.models import Max
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane.api.fields import TextField
from control_plane.api.resource import ResourceView, link, read_body
from control_plane.domain.access import Kind
from control_plane.registry.models import Model
from control_plane.registry.selectors import get_model
from control_plane.registry.services import create_model, delete_model, update_model


class ModelSerializer(serializers.ModelSerializer[Model]):
    """A model as the API shows it."""

    latest_version = serializers.SerializerMethodField()

    class Meta:
        model = Model
        fields = (
            "name",
            "description",
            "owner",
            "tags",
            "latest_version",
            "created_at",
            "created_by",
        )

    def get_latest_version(self, model: Model) -> int | None:
        if hasattr(model, "highest"):
            return model.highest
        highest: int | None = model.versions.aggregate(highest=Max("number"))["highest"]
        return highest


class ModelRequest(serializers.Serializer[Any]):
    """What makes a model."""

    name = TextField(max_length=200)
    description = TextField(required=False, allow_blank=True, default="")
    owner = TextField(required=False, allow_blank=True, default="", max_length=150)
    tags = serializers.DictField(child=TextField(allow_blank=True), required=False, default=dict)


class ModelPatch(serializers.Serializer[Any]):
    """What can be changed of a model."""

    description = TextField(required=False, allow_blank=True)
    owner = TextField(required=False, allow_blank=True, max_length=150)
    tags = serializers.DictField(child=TextField(allow_blank=True), required=False)


EXAMPLE = OpenApiExample(
    "digits",
    value={"name": "digits", "description": "Handwritten digits, 8 x 8 pixels"},
    request_only=True,
)


class ModelsView(ResourceView, ListAPIView[Model]):
    """All models."""

    kind = Kind.MODEL
    queryset = Model.objects.annotate(highest=Max("versions__number"))
    serializer_class = ModelSerializer
    search_fields = ("name", "description", "owner")
    write_permission = "registry.add_model"

    @extend_schema(request=ModelRequest, responses={201: ModelSerializer}, examples=[EXAMPLE])
    def post(self, request: Request) -> Response:
        """Adds a model."""
        model = create_model(actor=self.actor, **read_body(ModelRequest, request))
        location = link(request, "model", name=model.name)
        return Response(ModelSerializer(model).data, status=201, headers={"Location": location})


class ModelView(ResourceView):
    """One model."""

    kind = Kind.MODEL

    @property
    def write_permission(self) -> str:
        return (
            "registry.delete_model" if self.request.method == "DELETE" else "registry.change_model"
        )

    @extend_schema(responses=ModelSerializer)
    def get(self, request: Request, name: str) -> Response:
        """One model."""
        return Response(ModelSerializer(get_model(name)).data)

    @extend_schema(request=ModelPatch, responses=ModelSerializer)
    def patch(self, request: Request, name: str) -> Response:
        """Changes description, owner or tags."""
        model = update_model(name=name, actor=self.actor, changes=read_body(ModelPatch, request))
        return Response(ModelSerializer(model).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, name: str) -> Response:
        """Removes a model without versions."""
        delete_model(name=name, actor=self.actor)
        return Response(status=204)

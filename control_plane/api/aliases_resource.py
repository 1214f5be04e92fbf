"""`/models/{name}/aliases/`."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane.api.fields import WholeNumberField
from control_plane.api.resource import ResourceView, link, read_body
from control_plane.domain.access import Kind
from control_plane.domain.routing.policy import MAX_VERSION
from control_plane.registry.aliases import delete_alias, set_alias
from control_plane.registry.models import Alias
from control_plane.registry.selectors import get_alias, get_model


class AliasSerializer(serializers.ModelSerializer[Alias]):
    """An alias as the API shows it."""

    model = serializers.CharField(source="model.name")
    alias = serializers.CharField(source="name")
    version = serializers.IntegerField(source="version.number")

    class Meta:
        model = Alias
        fields = ("model", "alias", "version", "updated_at", "updated_by")


class AliasRequest(serializers.Serializer[Any]):
    """Where an alias points."""

    version = WholeNumberField(min_value=1, max_value=MAX_VERSION)


EXAMPLE = OpenApiExample("champion", value={"version": 3}, request_only=True)


class AliasesView(ResourceView, ListAPIView[Alias]):
    """The aliases of a model."""

    kind = Kind.MODEL
    read_permission = "registry.view_alias"
    queryset = Alias.objects.none()
    serializer_class = AliasSerializer
    search_fields = ("name",)
    ordering_fields = ("name", "updated_at")

    def get_queryset(self) -> QuerySet[Alias]:
        if getattr(self, "swagger_fake_view", False):
            return Alias.objects.none()
        return get_model(self.kwargs["name"]).aliases.select_related("model", "version")


class AliasView(ResourceView):
    """One alias of a model."""

    kind = Kind.MODEL
    read_permission = "registry.view_alias"

    @property
    def write_permission(self) -> str:
        deleting = self.request.method == "DELETE"
        return "registry.delete_alias" if deleting else "registry.change_alias"

    @extend_schema(responses=AliasSerializer)
    def get(self, request: Request, name: str, alias: str) -> Response:
        """Where an alias points."""
        return Response(AliasSerializer(get_alias(name, alias)).data)

    @extend_schema(
        request=AliasRequest,
        responses={200: AliasSerializer, 201: AliasSerializer},
        examples=[EXAMPLE],
    )
    def put(self, request: Request, name: str, alias: str) -> Response:
        """Points an alias to a version, from wherever it pointed before.

        Policies keep the numbers that they were written with: moving an alias moves no traffic.
        """
        body = read_body(AliasRequest, request)
        changed, made = set_alias(model=name, alias=alias, actor=self.actor, **body)
        headers = {"Location": link(request, "alias", name=name, alias=alias)} if made else {}
        document = AliasSerializer(changed).data
        return Response(document, status=201 if made else 200, headers=headers)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, name: str, alias: str) -> Response:
        """Removes an alias; its version stays."""
        delete_alias(model=name, alias=alias, actor=self.actor)
        return Response(status=204)

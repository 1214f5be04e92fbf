"""`/servers/`."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.drift_fields import DriftSerializer
from control_plane.api.fields import TruthField
from control_plane.api.resource import ResourceView, read_body
from control_plane.domain.planning.backends import BackendKind
from control_plane.endpoints.models import Placement
from control_plane.fleet.drift_records import recent_drift
from control_plane.fleet.models import Server
from control_plane.fleet.selectors import get_server, server_status
from control_plane.fleet.services import delete_server, update_server


class BackendSerializer(serializers.Serializer[Any]):
    """A backend of a server: `native` is a library, `python` is Python-based."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=[kind.value for kind in BackendKind])
    version = serializers.CharField(help_text="Empty where its files do not say it.")


class ServerSerializer(serializers.ModelSerializer[Server]):
    """A server as the API shows it."""

    status = serializers.SerializerMethodField()
    reason = serializers.SerializerMethodField()
    models = serializers.JSONField(source="held")
    backends = BackendSerializer(many=True, allow_null=True, help_text="Null: not known.")
    endpoints = serializers.SerializerMethodField()
    drift = DriftSerializer(
        source="recent_drift",
        many=True,
        help_text="What was changed by hand: what stands, and what was put right in the last day.",
    )

    class Meta:
        model = Server
        fields = (
            "name",
            "id",
            "status",
            "reason",
            "http",
            "grpc",
            "metrics",
            "accelerator",
            "lab",
            "hardware",
            "response_cache",
            "rate_limiter",
            "cores",
            "triton_version",
            "backends",
            "last_seen_at",
            "models",
            "endpoints",
            "drift",
        )

    def get_status(self, server: Server) -> str:
        return server_status(server, wiring.clock().now())[0]

    def get_reason(self, server: Server) -> str:
        return server_status(server, wiring.clock().now())[1]

    def get_endpoints(self, server: Server) -> list[dict[str, Any]]:
        return [
            {
                "endpoint": placement.endpoint.name,
                "status": placement.endpoint.status,
                "generation": placement.switched,
            }
            for placement in server.placements.all()
        ]


class ServerChange(serializers.Serializer[Any]):
    """What people say of a server."""

    lab = TruthField(help_text="Whether perf runs may put it under load.")


class ServersView(ResourceView, ListAPIView[Server]):
    """All servers."""

    read_permission = "fleet.view_server"
    serializer_class = ServerSerializer
    search_fields = ("name",)

    def get_queryset(self) -> QuerySet[Server]:
        return _with_relations(Server.objects.all())


class ServerView(ResourceView):
    """One server."""

    read_permission = "fleet.view_server"

    @property
    def write_permission(self) -> str:
        return f"fleet.{'delete' if self.request.method == 'DELETE' else 'change'}_server"

    @extend_schema(responses=ServerSerializer)
    def get(self, request: Request, name: str) -> Response:
        """One server, with what its Triton holds."""
        get_server(name)
        return Response(ServerSerializer(_with_relations(Server.objects.all()).get(name=name)).data)

    @extend_schema(
        request=ServerChange,
        responses=ServerSerializer,
        examples=[OpenApiExample("a lab", {"lab": True}, request_only=True)],
    )
    def patch(self, request: Request, name: str) -> Response:
        """Says whether perf runs may put the server under load."""
        update_server(name=name, actor=self.actor, **read_body(ServerChange, request))
        return self.get(request, name)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, name: str) -> Response:
        """Removes a server that is gone for good: its node was not heard of lately, and what it
        held others hold too."""
        delete_server(name=name, actor=self.actor, now=wiring.clock().now(), duties=wiring.duties())
        return Response(status=204)


def _with_relations(rows: QuerySet[Server]) -> QuerySet[Server]:
    return rows.prefetch_related(
        Prefetch("placements", Placement.objects.select_related("endpoint")),
        Prefetch("drift", recent_drift(wiring.clock().now()), to_attr="recent_drift"),
    )

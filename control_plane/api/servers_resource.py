"""`/servers/`."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_field,
)
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.drift_fields import DriftSerializer
from control_plane.api.fields import TextField, TruthField, read_flag
from control_plane.api.resource import ResourceView, read_body
from control_plane.domain.planning.backends import BackendKind
from control_plane.endpoints.models import Placement
from control_plane.endpoints.placements import left_on
from control_plane.fleet.cordoning import label_server
from control_plane.fleet.drift_records import recent_drift
from control_plane.fleet.models import Server
from control_plane.fleet.selectors import (
    Scheduling,
    get_server,
    labels_of,
    scheduling_of,
    server_status,
)
from control_plane.fleet.services import delete_server, update_server


class BackendSerializer(serializers.Serializer[Any]):
    """A backend of a server: `native` is a library, `python` is Python-based."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=[kind.value for kind in BackendKind])
    version = serializers.CharField(help_text="Empty where its files do not say it.")


class DeviceSerializer(serializers.Serializer[Any]):
    """A GPU of a server."""

    name = serializers.CharField()
    uuid = serializers.CharField()
    memory = serializers.IntegerField(help_text="bytes")


class MemorySerializer(serializers.Serializer[Any]):
    """A server's memory in bytes; null: not known."""

    limit = serializers.IntegerField(allow_null=True, help_text="what its Triton may take")
    used = serializers.IntegerField(allow_null=True, help_text="what its Triton takes")
    gpu_limit = serializers.IntegerField(allow_null=True, help_text="of all of its GPUs")
    gpu_used = serializers.IntegerField(allow_null=True, help_text="in use on its GPUs")


class LeftSerializer(serializers.Serializer[Any]):
    """What a server that is drained still holds, and what that waits for."""

    endpoint = serializers.CharField()
    reason = serializers.CharField()


class SchedulingSerializer(serializers.Serializer[Any]):
    """Whether endpoints are placed there, and how far a drain is."""

    state = serializers.ChoiceField([state.value for state in Scheduling])
    reason = serializers.CharField(help_text="why, in the words of whoever cordoned it")
    by = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)
    left = LeftSerializer(many=True, help_text="of a drain; empty: it is done, or there is none")


class ServerSerializer(serializers.ModelSerializer[Server]):
    """A server as the API shows it."""

    status = serializers.SerializerMethodField()
    reason = serializers.SerializerMethodField()
    labels = serializers.SerializerMethodField()
    memory = serializers.SerializerMethodField()
    devices = DeviceSerializer(many=True, allow_null=True, help_text="Its GPUs; null: not known.")
    scheduling = serializers.SerializerMethodField()
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
            "gate",
            "accelerator",
            "lab",
            "hardware",
            "response_cache",
            "rate_limiter",
            "cores",
            "triton_version",
            "backends",
            "labels",
            "set_labels",
            "memory",
            "devices",
            "scheduling",
            "last_seen_at",
            "models",
            "endpoints",
            "drift",
        )

    def get_status(self, server: Server) -> str:
        return server_status(server, wiring.clock().now())[0]

    def get_reason(self, server: Server) -> str:
        return server_status(server, wiring.clock().now())[1]

    def get_labels(self, server: Server) -> dict[str, str]:
        """What placements choose by: its own, its node's, and over those what people set."""
        return labels_of(server)

    @extend_schema_field(MemorySerializer)
    def get_memory(self, server: Server) -> dict[str, int | None]:
        return {
            "limit": server.memory_limit,
            "used": server.memory_used,
            "gpu_limit": server.gpu_memory_limit,
            "gpu_used": server.gpu_memory_used,
        }

    @extend_schema_field(SchedulingSerializer)
    def get_scheduling(self, server: Server) -> dict[str, Any]:
        left = left_on(server) if server.draining else []
        return {
            "state": scheduling_of(server, [row for row, _ in left]),
            "reason": server.cordon_reason,
            "by": server.cordoned_by,
            "since": server.cordoned_at,
            "left": [{"endpoint": row.endpoint.name, "reason": why} for row, why in left],
        }

    def get_endpoints(self, server: Server) -> list[dict[str, Any]]:
        return [
            {
                "endpoint": placement.endpoint.name,
                "status": placement.endpoint.status,
                "generation": placement.switched,
                "leaving": placement.leaving_at is not None,
            }
            for placement in server.placements.all()
        ]


class ServerChange(serializers.Serializer[Any]):
    """What people say of a server; what is left out stays as it is."""

    lab = TruthField(required=False, help_text="Whether perf runs may put it under load.")
    labels = serializers.DictField(
        child=TextField(allow_null=True, allow_blank=True),
        required=False,
        help_text="Labels over those that its node gives it; the others stay, null takes one back.",
    )


class ServersView(ResourceView, ListAPIView[Server]):
    """All servers."""

    read_permission = "fleet.view_server"
    serializer_class = ServerSerializer
    search_fields = ("name",)

    def get_queryset(self) -> QuerySet[Server]:
        return _with_relations(Server.objects.all())


class OneServerView(ResourceView):
    """Whatever answers with one server."""

    read_permission = "fleet.view_server"

    def shown(self, name: str) -> Response:
        get_server(name)
        return Response(ServerSerializer(_with_relations(Server.objects.all()).get(name=name)).data)


class ServerView(OneServerView):
    """One server."""

    @property
    def write_permission(self) -> str:
        return f"fleet.{'delete' if self.request.method == 'DELETE' else 'change'}_server"

    @extend_schema(responses=ServerSerializer)
    def get(self, request: Request, name: str) -> Response:
        """One server, with what its Triton holds."""
        return self.shown(name)

    @extend_schema(
        request=ServerChange,
        responses=ServerSerializer,
        examples=[
            OpenApiExample("a lab", {"lab": True}, request_only=True),
            OpenApiExample("labels", {"labels": {"zone": "a", "old": None}}, request_only=True),
        ],
    )
    def patch(self, request: Request, name: str) -> Response:
        """Labels the server, and says whether perf runs may put it under load."""
        body = read_body(ServerChange, request)
        with transaction.atomic():
            if "lab" in body:
                update_server(name=name, actor=self.actor, lab=body["lab"])
            if "labels" in body:
                label_server(name=name, actor=self.actor, labels=body["labels"])
        return self.shown(name)

    @extend_schema(
        parameters=[
            OpenApiParameter("force", bool, description="Also where it may still serve something."),
            OpenApiParameter("reason", str, description="Why; needed with force."),
        ],
        responses={204: None},
    )
    def delete(self, request: Request, name: str) -> Response:
        """Removes a server that is gone for good: its node was not heard of lately, and what it
        held others hold too."""
        delete_server(
            name=name,
            actor=self.actor,
            now=wiring.clock().now(),
            duties=wiring.duties(),
            force=read_flag(request.query_params.get("force", ""), "/force"),
            reason=request.query_params.get("reason", ""),
        )
        return Response(status=204)


def _with_relations(rows: QuerySet[Server]) -> QuerySet[Server]:
    return rows.prefetch_related(
        Prefetch("placements", Placement.objects.select_related("endpoint")),
        Prefetch("drift", recent_drift(wiring.clock().now()), to_attr="recent_drift"),
    )

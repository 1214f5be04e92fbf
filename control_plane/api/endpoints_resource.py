"""`/endpoints/`."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.conditions import IF_MATCH, EditableView
from control_plane.api.drift_fields import DriftSerializer
from control_plane.api.fields import TextField, TruthField
from control_plane.api.policy_schema import (
    PolicyField,
)
from control_plane.api.resource import ResourceView, link, read_body
from control_plane.domain.access import Kind, Target
from control_plane.domain.four_eyes import LIFT
from control_plane.endpoints.intent import locked
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.placing import placing_of
from control_plane.endpoints.selectors import (
    endpoints,
    get_endpoint,
    physical_of,
    placement_status,
    shown,
)
from control_plane.endpoints.services import create_endpoint, delete_endpoint, update_endpoint
from control_plane.fleet.drift_records import drift_by_endpoint


class ArmSerializer(serializers.Serializer[Any]):
    """An arm with the physical model behind it; `weight` is a percent."""

    name = serializers.CharField()
    model = serializers.CharField()
    version = serializers.IntegerField()
    weight = serializers.FloatField()
    primary = serializers.BooleanField()
    physical = serializers.CharField(allow_null=True)


class EndpointServerSerializer(serializers.Serializer[Any]):
    """One server's part in an endpoint."""

    server = serializers.CharField()
    status = serializers.CharField()
    reason = serializers.CharField()
    generation = serializers.IntegerField(help_text="what its router serves")


class EndpointSerializer(serializers.ModelSerializer[Endpoint]):
    """An endpoint as the API shows it."""

    policy = PolicyField(read_only=True, allow_null=True)
    pending_change = serializers.SerializerMethodField()
    revision = serializers.SerializerMethodField()
    arms = serializers.SerializerMethodField()
    servers = serializers.SerializerMethodField()
    drift = serializers.SerializerMethodField()
    placement = serializers.JSONField(
        allow_null=True, help_text="which servers it shall be on; null: every one"
    )
    placement_problem = serializers.SerializerMethodField()

    class Meta:
        model = Endpoint
        fields = (
            "name",
            "description",
            "four_eyes",
            "pending_change",
            "status",
            "reason",
            "generation",
            "observed_generation",
            "policy",
            "revision",
            "arms",
            "servers",
            "drift",
            "placement",
            "placement_problem",
            "created_at",
            "created_by",
            "updated_at",
        )

    def get_pending_change(self, endpoint: Endpoint) -> int | None:
        """The change that waits for a second person."""
        number: int | None = getattr(endpoint, "pending_number", None)
        return number

    def get_revision(self, endpoint: Endpoint) -> int | None:
        """The revision that serves."""
        number: int | None = getattr(endpoint, "serving_number", None)
        return number

    def get_arms(self, endpoint: Endpoint) -> list[dict[str, Any]]:
        physical = physical_of(endpoint)
        arms = (endpoint.policy or {}).get("arms", [])
        return [{**arm, "physical": physical.get(arm["name"])} for arm in arms]

    def get_placement_problem(self, endpoint: Endpoint) -> str:
        """What of the placement is not as it was wanted; empty: nothing."""
        placing = placing_of(endpoint)
        return placing.problem if placing else ""

    def get_servers(self, endpoint: Endpoint) -> list[dict[str, Any]]:
        parts, now = [], wiring.clock().now()
        for placement in endpoint.placements.all():
            status, reason = placement_status(placement, endpoint.generation, now)
            name, generation = placement.server.name, placement.switched
            parts.append(
                {"server": name, "status": status, "reason": reason, "generation": generation}
            )
        return parts

    @extend_schema_field(DriftSerializer(many=True))
    def get_drift(self, endpoint: Endpoint) -> Any:
        """What of it was changed by hand on a server: what stands, and of the last day."""
        # One query for a whole list.
        if "drift" not in self.context:
            self.context["drift"] = drift_by_endpoint(wiring.clock().now())
        return DriftSerializer(self.context["drift"].get(endpoint.name, ()), many=True).data


class EndpointRequest(serializers.Serializer[Any]):
    """What makes an endpoint."""

    name = TextField(max_length=200)
    description = TextField(required=False, allow_blank=True, default="")
    policy = PolicyField(required=False, allow_null=True, default=None)
    four_eyes = TruthField(
        required=False,
        default=False,
        help_text="whether a second person has to approve its changes of traffic, the first too",
    )


class EndpointPatch(serializers.Serializer[Any]):
    """What can be changed of an endpoint beside its policy."""

    description = TextField(required=False, allow_blank=True)
    four_eyes = TruthField(
        required=False,
        help_text="switched on by whoever may change the endpoint, off by an admin",
    )


class EndpointRemoving(serializers.Serializer[Any]):
    """An endpoint that is being taken off its servers; `status_url` answers 404 from now on."""

    endpoint = serializers.CharField()
    status = serializers.CharField()
    status_url = serializers.URLField()


class EndpointsView(ResourceView, ListAPIView[Endpoint]):
    """All endpoints."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_endpoint"
    serializer_class = EndpointSerializer
    search_fields = ("name", "description")
    write_permission = "endpoints.add_endpoint"

    def get_queryset(self) -> QuerySet[Endpoint]:
        return shown(endpoints())

    @extend_schema(request=EndpointRequest, responses={201: EndpointSerializer})
    def post(self, request: Request) -> Response:
        """Adds an endpoint, with a policy at once where one is given.

        With `four_eyes` the policy waits for a second person: `pending_change` has its number.
        """
        body = read_body(EndpointRequest, request)
        endpoint = create_endpoint(
            actor=self.actor,
            queue=wiring.queue(),
            print_config=wiring.print_config,
            **body,
        )
        location = link(request, "endpoint", name=endpoint.name)
        return Response(_document(endpoint), status=201, headers={"Location": location})


class EndpointView(EditableView):
    """One endpoint."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_endpoint"

    tag_fields = ("name", "created_at", "description", "four_eyes", "generation")

    def lock(self, **path: Any) -> object:
        return locked(path["name"])

    def shown(self, **path: Any) -> dict[str, Any]:
        return _document(get_endpoint(path["name"]))

    @property
    def write_permission(self) -> str:
        deleting = self.request.method == "DELETE"
        return "endpoints.delete_endpoint" if deleting else "endpoints.change_endpoint"

    @extend_schema(responses=EndpointSerializer)
    def get(self, request: Request, name: str) -> Response:
        """One endpoint with its arms and servers."""
        return Response(_document(get_endpoint(name)))

    @extend_schema(request=EndpointPatch, responses=EndpointSerializer, parameters=[IF_MATCH])
    def patch(self, request: Request, name: str) -> Response:
        """Changes the description, or switches the four-eyes rule on or off.

        Off takes the role admin, on the endpoint or everywhere. A change that waits then is
        superseded.
        """
        body = read_body(EndpointPatch, request)
        may_lift = request.user.has_perm(LIFT, Target(Kind.ENDPOINT, name))
        endpoint = update_endpoint(name=name, actor=self.actor, may_lift=may_lift, **body)
        return Response(_document(endpoint))

    @extend_schema(responses={202: EndpointRemoving}, parameters=[IF_MATCH])
    def delete(self, request: Request, name: str) -> Response:
        """Takes the endpoint off every server; refused (409) while it has the four-eyes rule."""
        delete_endpoint(name=name, actor=self.actor, queue=wiring.queue(), clock=wiring.clock())
        url = link(request, "endpoint", name=name)
        body = {"endpoint": name, "status": "Removing", "status_url": url}
        return Response(body, status=202, headers={"Location": url})


def _document(endpoint: Endpoint) -> dict[str, Any]:
    row = shown(Endpoint.objects.filter(id=endpoint.id)).get()
    return dict(EndpointSerializer(row).data)

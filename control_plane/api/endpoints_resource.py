"""`/endpoints/`."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.conditions import IF_MATCH, EditableView, check_match, unless_known
from control_plane.api.errors import PreconditionRequiredError
from control_plane.api.fields import TextField, WholeNumberField
from control_plane.api.policy_schema import (
    POLICY_BODY,
    POLICY_EXAMPLES,
    POLICY_REF,
    PolicyField,
)
from control_plane.api.resource import ResourceView, link, read_body
from control_plane.domain.access import Kind
from control_plane.endpoints.kill import kill
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.selectors import (
    endpoints,
    get_endpoint,
    physical_of,
    placement_status,
    shown,
)
from control_plane.endpoints.services import (
    create_endpoint,
    delete_endpoint,
    locked,
    preview,
    rollback,
    set_policy,
    update_endpoint,
)

IF_MATCH_NEEDED = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="The ETag of the policy that was read, or * to overwrite whatever is there.",
)


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
    revision = serializers.SerializerMethodField()
    arms = serializers.SerializerMethodField()
    servers = serializers.SerializerMethodField()

    class Meta:
        model = Endpoint
        fields = (
            "name",
            "description",
            "status",
            "reason",
            "generation",
            "observed_generation",
            "policy",
            "revision",
            "arms",
            "servers",
            "created_at",
            "created_by",
            "updated_at",
        )

    def get_revision(self, endpoint: Endpoint) -> int | None:
        """The revision that serves."""
        number: int | None = getattr(endpoint, "serving_number", None)
        return number

    def get_arms(self, endpoint: Endpoint) -> list[dict[str, Any]]:
        physical = physical_of(endpoint)
        arms = (endpoint.policy or {}).get("arms", [])
        return [{**arm, "physical": physical.get(arm["name"])} for arm in arms]

    def get_servers(self, endpoint: Endpoint) -> list[dict[str, Any]]:
        parts = []
        for placement in endpoint.placements.all():
            status, reason = placement_status(placement, endpoint.generation)
            name, generation = placement.server.name, placement.switched
            parts.append(
                {"server": name, "status": status, "reason": reason, "generation": generation}
            )
        return parts


class EndpointRequest(serializers.Serializer[Any]):
    """What makes an endpoint."""

    name = TextField(max_length=200)
    description = TextField(required=False, allow_blank=True, default="")
    policy = PolicyField(required=False, allow_null=True, default=None)


class EndpointPatch(serializers.Serializer[Any]):
    """What can be changed of an endpoint beside its policy."""

    description = TextField(allow_blank=True)


class PolicyAccepted(serializers.Serializer[Any]):
    """A policy that is being carried out."""

    endpoint = serializers.CharField()
    generation = serializers.IntegerField()
    status = serializers.CharField()
    status_url = serializers.URLField()
    policy = PolicyField()


class EndpointRemoving(serializers.Serializer[Any]):
    """An endpoint that is being taken off its servers; `status_url` answers 404 from now on."""

    endpoint = serializers.CharField()
    status = serializers.CharField()
    status_url = serializers.URLField()


class ChangeSerializer(serializers.Serializer[Any]):
    """One difference to what serves now."""

    action = serializers.ChoiceField(
        ["add", "remove", "replace", "weight", "primary", "limits", "policy"]
    )
    arm = serializers.CharField(help_text="empty where the change concerns no single arm")
    part = serializers.CharField(help_text="the policy's field, with the action policy")
    detail = serializers.CharField()


class FindingSerializer(serializers.Serializer[Any]):
    """Something worth knowing before the policy is applied."""

    severity = serializers.ChoiceField(["error", "warning"])
    code = serializers.CharField()
    detail = serializers.CharField()
    pointer = serializers.CharField()


class PlanSerializer(serializers.Serializer[Any]):
    """What a policy would change."""

    changes = ChangeSerializer(many=True)
    diff = serializers.CharField(help_text="unified diff over every file")
    findings = FindingSerializer(many=True)
    loads = serializers.ListField(child=serializers.CharField())
    unloads = serializers.ListField(child=serializers.CharField())


class RollbackRequest(serializers.Serializer[Any]):
    """Where to go back to; by default to the revision before the one that serves."""

    revision = WholeNumberField(required=False, min_value=1)
    reason = TextField(required=False, allow_blank=True, default="")


class KillRequest(serializers.Serializer[Any]):
    """Why everything goes to the primary."""

    reason = TextField(required=False, allow_blank=True, default="")


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
        """Adds an endpoint, with a policy at once where one is given."""
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

    tag_fields = ("name", "created_at", "description", "generation")

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
        """Changes the description."""
        body = read_body(EndpointPatch, request)
        endpoint = update_endpoint(name=name, actor=self.actor, **body)
        return Response(_document(endpoint))

    @extend_schema(responses={202: EndpointRemoving}, parameters=[IF_MATCH])
    def delete(self, request: Request, name: str) -> Response:
        """Takes the endpoint off every server."""
        delete_endpoint(name=name, actor=self.actor, queue=wiring.queue(), clock=wiring.clock())
        url = link(request, "endpoint", name=name)
        body = {"endpoint": name, "status": "Removing", "status_url": url}
        return Response(body, status=202, headers={"Location": url})


class PolicyView(ResourceView):
    """The routing policy of an endpoint."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_endpoint"
    write_permission = "endpoints.change_endpoint"

    @extend_schema(responses={(200, "application/json"): POLICY_REF, 304: None})
    def get(self, request: Request, name: str) -> Response:
        """The policy, with its ETag."""
        endpoint = get_endpoint(name)
        policy = endpoint.policy or {"arms": []}
        return unless_known(request, f'"{endpoint.generation}"', lambda: Response(policy))

    @extend_schema(
        request=POLICY_BODY,
        responses={202: PolicyAccepted},
        parameters=[IF_MATCH_NEEDED],
        examples=POLICY_EXAMPLES,
    )
    def put(self, request: Request, name: str) -> Response:
        """Makes this policy the intent; it is carried out at once."""
        endpoint = get_endpoint(name)
        endpoint = set_policy(
            name=name,
            document=request.data,
            actor=self.actor,
            queue=wiring.queue(),
            print_config=wiring.print_config,
            expected_generation=_expected(request, endpoint),
        )
        return policy_accepted(request, endpoint)


class PlanView(ResourceView):
    """The dry run of a policy."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_endpoint"
    write_permission = "endpoints.view_endpoint"

    @extend_schema(request=POLICY_BODY, responses=PlanSerializer, examples=POLICY_EXAMPLES)
    def post(self, request: Request, name: str) -> Response:
        """What this policy would change; nothing is written."""
        found = preview(name=name, document=request.data, print_config=wiring.print_config)
        return Response(PlanSerializer(found).data)


class RollbackView(ResourceView):
    """The way back."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_endpoint"
    write_permission = "endpoints.change_endpoint"

    @extend_schema(request=RollbackRequest, responses={202: PolicyAccepted})
    def post(self, request: Request, name: str) -> Response:
        """Makes an earlier revision's policy the intent again."""
        body = read_body(RollbackRequest, request)
        endpoint = rollback(
            name=name,
            actor=self.actor,
            queue=wiring.queue(),
            print_config=wiring.print_config,
            **body,
        )
        return policy_accepted(request, endpoint)


class KillView(ResourceView):
    """The kill switch."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_endpoint"
    write_permission = "endpoints.change_endpoint"

    @extend_schema(
        request=KillRequest,
        responses={202: PolicyAccepted},
        examples=[
            OpenApiExample("in an incident", {"reason": "v2 times out"}, request_only=True),
            OpenApiExample("without a word", {}, request_only=True),
        ],
    )
    def post(self, request: Request, name: str) -> Response:
        """Returns everything to the primary at once; a rollback leads back.

        Rules, shadows and the adaptive mode end, live sequences on other arms are cut, the
        other arms stay loaded without a share, and a change that is still on its way is called
        off. It waits for no arm but the primary. Asking again changes nothing.
        """
        body = read_body(KillRequest, request)
        endpoint = kill(
            name=name,
            actor=self.actor,
            queue=wiring.queue(),
            print_config=wiring.print_config,
            **body,
        )
        return policy_accepted(request, endpoint)


def _document(endpoint: Endpoint) -> dict[str, Any]:
    row = shown(Endpoint.objects.filter(id=endpoint.id)).get()
    return dict(EndpointSerializer(row).data)


def policy_accepted(request: Request, endpoint: Endpoint) -> Response:
    """202 with where to look for what came of it."""
    url = link(request, "endpoint", name=endpoint.name)
    body = {
        "endpoint": endpoint.name,
        "generation": endpoint.generation,
        "status": endpoint.status,
        "status_url": url,
        "policy": endpoint.policy,
    }
    return Response(body, status=202, headers={"ETag": f'"{endpoint.generation}"', "Location": url})


def _expected(request: Request, endpoint: Endpoint) -> int | None:
    """The generation that `If-Match` names; None for `*`."""
    header = request.headers.get("If-Match")
    if header is None:
        raise PreconditionRequiredError
    check_match(header, f'"{endpoint.generation}"')
    return None if header.strip() == "*" else endpoint.generation

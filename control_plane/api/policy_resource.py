"""`/endpoints/{name}/policy/`, and what else moves an endpoint's traffic."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.conditions import check_match, unless_known
from control_plane.api.errors import PreconditionRequiredError
from control_plane.api.fields import TextField, WholeNumberField
from control_plane.api.placing_schema import PlacingSerializer
from control_plane.api.policy_schema import (
    POLICY_BODY,
    POLICY_EXAMPLES,
    POLICY_REF,
    PolicyField,
)
from control_plane.api.resource import ResourceView, link, read_body
from control_plane.domain.access import Kind
from control_plane.endpoints.changes import put_policy
from control_plane.endpoints.kill import kill
from control_plane.endpoints.models import ChangeRequest, Endpoint
from control_plane.endpoints.preview import preview
from control_plane.endpoints.rollback import rollback
from control_plane.endpoints.selectors import get_endpoint

IF_MATCH_NEEDED = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="The ETag of the policy that was read, or * to overwrite whatever is there.",
)


REASON = OpenApiParameter(
    "reason", str, description="Why, for the audit record and for whoever approves it."
)


class PolicyAccepted(serializers.Serializer[Any]):
    """A policy that is being carried out, or a change that waits for a second person."""

    endpoint = serializers.CharField()
    generation = serializers.IntegerField(help_text="while a change waits, the present one")
    status = serializers.CharField()
    status_url = serializers.URLField(help_text="where to see what became of it")
    policy = PolicyField()
    change = serializers.IntegerField(
        allow_null=True,
        help_text="the number of the change that waits for a second person; null: nobody is "
        "waited for",
    )


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

    severity = serializers.ChoiceField(["error", "warning", "info"])
    code = serializers.CharField()
    detail = serializers.CharField()
    pointer = serializers.CharField()
    fix = serializers.CharField(help_text="what to do; empty where the detail says it")


class ServingSerializer(serializers.Serializer[Any]):
    """How an arm is served: a profile, and what is laid over it."""

    arm = serializers.CharField()
    physical = serializers.CharField()
    profile = serializers.CharField()
    revision = serializers.IntegerField(
        allow_null=True, help_text="of the profile; null: it comes with Nereid"
    )
    of_version = serializers.JSONField(help_text="the version's overrides")
    of_arm = serializers.JSONField(help_text="the arm's, which are laid over those")
    effective = serializers.JSONField(help_text="what comes out, and is compiled")


class PlanSerializer(serializers.Serializer[Any]):
    """What a policy would change."""

    changes = ChangeSerializer(many=True)
    diff = serializers.CharField(help_text="unified diff over every file")
    findings = FindingSerializer(many=True)
    loads = serializers.ListField(child=serializers.CharField())
    unloads = serializers.ListField(child=serializers.CharField())
    serving = ServingSerializer(many=True, required=False)
    placing = PlacingSerializer(
        required=False,
        allow_null=True,
        help_text="which servers it would be on, and why not the others",
    )


class RollbackRequest(serializers.Serializer[Any]):
    """Where to go back to; by default to the revision before the one that serves."""

    revision = WholeNumberField(required=False, min_value=1)
    reason = TextField(required=False, allow_blank=True, default="")


class KillRequest(serializers.Serializer[Any]):
    """Why everything goes to the primary."""

    reason = TextField(required=False, allow_blank=True, default="")


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
        parameters=[IF_MATCH_NEEDED, REASON],
        examples=POLICY_EXAMPLES,
    )
    def put(self, request: Request, name: str) -> Response:
        """Makes this policy the intent; it is carried out at once.

        Where the endpoint has the four-eyes rule no traffic moves: the policy is checked and kept
        as a change, whose number is in `change`, until a second person approves it.
        """
        endpoint = get_endpoint(name)
        done = put_policy(
            name=name,
            document=request.data,
            actor=self.actor,
            queue=wiring.queue(),
            print_config=wiring.print_config,
            expected_generation=_expected(request, endpoint),
            reason=request.query_params.get("reason", ""),
        )
        if isinstance(done, ChangeRequest):
            return change_waits(request, done)
        return policy_accepted(request, done)


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


def policy_accepted(request: Request, endpoint: Endpoint) -> Response:
    """202 with where to look for what came of it."""
    url = link(request, "endpoint", name=endpoint.name)
    body = {
        "endpoint": endpoint.name,
        "generation": endpoint.generation,
        "status": endpoint.status,
        "status_url": url,
        "policy": endpoint.policy,
        "change": None,
    }
    return Response(body, status=202, headers={"ETag": f'"{endpoint.generation}"', "Location": url})


def change_waits(request: Request, change: ChangeRequest) -> Response:
    """202 with where to look whether a second person has decided."""
    endpoint = change.endpoint
    url = link(request, "change", name=endpoint.name, number=change.number)
    body = {
        "endpoint": endpoint.name,
        "generation": endpoint.generation,
        "status": endpoint.status,
        "status_url": url,
        "policy": change.policy,
        "change": change.number,
    }
    return Response(body, status=202, headers={"ETag": f'"{endpoint.generation}"', "Location": url})


def _expected(request: Request, endpoint: Endpoint) -> int | None:
    """The generation that `If-Match` names; None for `*`."""
    header = request.headers.get("If-Match")
    if header is None:
        raise PreconditionRequiredError
    check_match(header, f'"{endpoint.generation}"')
    return None if header.strip() == "*" else endpoint.generation

"""`/endpoints/{name}/changes/`: what waits for a second person, and what became of it."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.fields import TextField
from control_plane.api.pagination import NumberPagination
from control_plane.api.policy_resource import (
    PlanSerializer,
    PolicyAccepted,
    policy_accepted,
)
from control_plane.api.policy_schema import PolicyField
from control_plane.api.resource import ResourceView, read_body
from control_plane.domain.access import Kind
from control_plane.domain.four_eyes import ChangeState, stale
from control_plane.domain.violations import InvalidInputError, NotFoundError, Violation
from control_plane.endpoints.changes import approve, reject, withdraw
from control_plane.endpoints.models import ChangeRequest
from control_plane.endpoints.selectors import get_endpoint, listed_changes

STATE = OpenApiParameter("state", str, enum=[state.value for state in ChangeState])


class ChangeDecision(serializers.Serializer[Any]):
    """Why it is decided so."""

    reason = TextField(required=False, allow_blank=True, default="")


class ChangeRequestSerializer(serializers.ModelSerializer[ChangeRequest]):
    """A change as the API lists it."""

    endpoint = serializers.CharField(source="endpoint.name")
    policy = PolicyField(read_only=True)
    asked_at = serializers.DateTimeField(source="created_at")
    stale = serializers.SerializerMethodField(
        help_text="why it can no longer be approved, while it waits; empty: it can"
    )
    revision = serializers.IntegerField(
        source="revision.number", allow_null=True, default=None, help_text="what came of it"
    )

    class Meta:
        model = ChangeRequest
        fields: tuple[str, ...] = (
            "endpoint",
            "number",
            "state",
            "stale",
            "generation",
            "policy",
            "reason",
            "asked_by",
            "asked_at",
            "decided_by",
            "decided_at",
            "decided_reason",
            "revision",
        )

    def get_stale(self, change: ChangeRequest) -> str:
        return stale(change.as_value(), change.endpoint.generation)


class ChangeDetailSerializer(ChangeRequestSerializer):
    """A change with what it does, as it was when somebody asked for it."""

    plan = PlanSerializer(source="effect")

    class Meta(ChangeRequestSerializer.Meta):
        fields = (*ChangeRequestSerializer.Meta.fields, "plan")


class ChangesView(ResourceView, ListAPIView[ChangeRequest]):
    """The changes of an endpoint that somebody asked for."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_changerequest"
    queryset = ChangeRequest.objects.none()
    serializer_class = ChangeRequestSerializer
    pagination_class = NumberPagination
    ordering_fields = ("number", "created_at")

    @extend_schema(parameters=[STATE])
    def get(self, request: Request, name: str) -> Response:
        """The changes, newest first; with `?state=pending` the one that waits, if one does."""
        return self.list(request, name=name)

    def get_queryset(self) -> QuerySet[ChangeRequest]:
        if getattr(self, "swagger_fake_view", False):
            return ChangeRequest.objects.none()
        rows = listed_changes(get_endpoint(self.kwargs["name"]).changes.all())
        state = self.request.query_params.get("state")
        if state is None:
            return rows
        if state not in list(ChangeState):
            detail = f"{state[:80]!r}: a change is {', '.join(ChangeState)}"
            raise InvalidInputError([Violation("/state", "invalid", detail)])
        return rows.filter(state=state)


class ChangeView(ResourceView):
    """One change."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_changerequest"

    @extend_schema(responses=ChangeDetailSerializer)
    def get(self, request: Request, name: str, number: int) -> Response:
        """One change, with its plan: what it does, and the diff."""
        return Response(_document(name, number))


class ApproveView(ResourceView):
    """The second person's yes."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_changerequest"
    write_permission = "endpoints.change_endpoint"

    @extend_schema(
        request=ChangeDecision,
        responses={202: PolicyAccepted},
        examples=[OpenApiExample("looked at", {"reason": "the diff is fine"}, request_only=True)],
    )
    def post(self, request: Request, name: str, number: int) -> Response:
        """Lets a change through that somebody else asked for: its policy becomes the intent.

        Whoever asked for it is refused (403), whichever of their tokens they come with. What was
        decided, or was based on a policy that is no longer the present one, is 409. Approving
        once more changes nothing.
        """
        body = read_body(ChangeDecision, request)
        change = approve(
            name=name,
            number=int(number),
            actor=self.actor,
            queue=wiring.queue(),
            print_config=wiring.print_config,
            **body,
        )
        return policy_accepted(request, get_endpoint(change.endpoint.name))


class RejectView(ResourceView):
    """The second person's no."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_changerequest"
    write_permission = "endpoints.change_endpoint"

    @extend_schema(
        request=ChangeDecision,
        responses=ChangeDetailSerializer,
        examples=[OpenApiExample("with a word", {"reason": "not on a Friday"}, request_only=True)],
    )
    def post(self, request: Request, name: str, number: int) -> Response:
        """Ends a change that somebody else asked for; traffic stays as it is."""
        body = read_body(ChangeDecision, request)
        reject(name=name, number=int(number), actor=self.actor, **body)
        return Response(_document(name, number))


class WithdrawView(ResourceView):
    """The author's second thoughts."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_changerequest"
    write_permission = "endpoints.change_endpoint"

    @extend_schema(request=ChangeDecision, responses=ChangeDetailSerializer)
    def post(self, request: Request, name: str, number: int) -> Response:
        """Takes back a change that one asked for oneself."""
        body = read_body(ChangeDecision, request)
        withdraw(name=name, number=int(number), actor=self.actor, **body)
        return Response(_document(name, number))


def _document(name: str, number: int) -> dict[str, Any]:
    rows = get_endpoint(name).changes.select_related("endpoint", "revision")
    change = rows.filter(number=number).first()
    if change is None:
        raise NotFoundError(f"endpoint {name!r} has no change {number}")
    return dict(ChangeDetailSerializer(change).data)

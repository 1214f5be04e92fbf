"""`/rollouts/`: from what an endpoint serves to something new, step by step."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import django_filters
from django.db.models import QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.pagination import AllowedOrdering, CreatedPagination, NumberPagination
from control_plane.api.registry_filters import DeclaredFilters
from control_plane.api.resource import OnlyVisible, ResourceView, link
from control_plane.api.rollout_document import (
    RolloutDetailSerializer,
    RolloutEventSerializer,
    RolloutSerializer,
    rollout_document,
)
from control_plane.api.rollout_schema import ROLLOUT_BODY, ROLLOUT_EXAMPLES
from control_plane.domain.access import Kind
from control_plane.domain.violations import InvalidInputError, NotFoundError, Violation
from control_plane.rollouts.models import STATES, Rollout, RolloutEvent
from control_plane.rollouts.selectors import endpoint_of, events_of, get_rollout, rollouts
from control_plane.rollouts.services import start_rollout


class RolloutFilter(FilterSet):
    """Rollouts by where they are, and where they stand."""

    endpoint = django_filters.CharFilter(
        field_name="endpoint_name", label="of the endpoint of this name"
    )
    state = django_filters.ChoiceFilter(choices=STATES)
    active = django_filters.ChoiceFilter(
        choices=[("true", "true"), ("false", "false")],
        method="under_way",
        label="under way, and watched; or those that have ended",
    )

    class Meta:
        model = Rollout
        fields = ()

    def under_way(self, rows: QuerySet[Rollout], name: str, value: str) -> QuerySet[Rollout]:
        return rows.filter(finished_at__isnull=value == "true")


class RolloutsView(ResourceView, ListAPIView[Rollout]):
    """All rollouts."""

    kind = Kind.ENDPOINT
    read_permission = "rollouts.view_rollout"
    write_permission = "rollouts.add_rollout"
    queryset = Rollout.objects.none()
    serializer_class = RolloutSerializer
    pagination_class = CreatedPagination
    filter_backends = (OnlyVisible, DeclaredFilters, AllowedOrdering)
    filterset_class = RolloutFilter
    ordering_fields = ("created_at",)

    def target_name(self, request: Request) -> str | None:
        body = request.data if request.method == "POST" else None
        name = body.get("endpoint") if isinstance(body, dict) else None
        return name if isinstance(name, str) else None

    def get_queryset(self) -> QuerySet[Rollout]:
        return rollouts()

    def get(self, request: Request) -> Response:
        """All rollouts, newest first; with `?active=true` those that are under way."""
        return self.list(request)

    @extend_schema(
        request=ROLLOUT_BODY, responses={201: RolloutDetailSerializer}, examples=ROLLOUT_EXAMPLES
    )
    def post(self, request: Request) -> Response:
        """Starts a rollout; it begins at once, and what it does is seen at its address.

        Where the endpoint has the four-eyes rule it waits as `awaitingApproval` until a second
        person approves it. There is one at a time for each endpoint: `supersede` takes the present
        one back first.
        """
        try:
            rollout = start_rollout(
                document=request.data,
                actor=self.actor,
                queue=wiring.queue(),
                print_config=wiring.print_config,
                clock=wiring.clock(),
            )
        except NotFoundError as error:  # what the body names is not what the address is about
            raise InvalidInputError([Violation("/endpoint", "not_found", str(error))]) from error
        location = link(request, "rollout", rollout_id=rollout.id)
        body = rollout_document(request, get_rollout(rollout.id))
        return Response(body, status=201, headers={"Location": location})


class OneRolloutView(ResourceView):
    """What concerns one rollout, by its id: the grant that counts is on its endpoint."""

    kind = Kind.ENDPOINT
    read_permission = "rollouts.view_rollout"

    def target_name(self, request: Request) -> str | None:
        return endpoint_of(self.kwargs["rollout_id"])


class RolloutView(OneRolloutView):
    """One rollout."""

    @extend_schema(responses=RolloutDetailSerializer)
    def get(self, request: Request, rollout_id: UUID) -> Response:
        """Where it stands and why, its steps, the newest look of each analysis run, and which
        controls can be used now."""
        return Response(rollout_document(request, get_rollout(rollout_id)))


class RolloutEventsView(OneRolloutView, ListAPIView[RolloutEvent]):
    """Everything that happened to a rollout."""

    queryset = RolloutEvent.objects.none()
    serializer_class = RolloutEventSerializer
    pagination_class = NumberPagination
    filter_backends: Any = (AllowedOrdering,)
    ordering_fields = ("number",)

    def get(self, request: Request, rollout_id: UUID) -> Response:
        """Everything that happened to it, newest first."""
        return self.list(request)

    def get_queryset(self) -> QuerySet[RolloutEvent]:
        if getattr(self, "swagger_fake_view", False):
            return RolloutEvent.objects.none()
        return events_of(get_rollout(self.kwargs["rollout_id"]))

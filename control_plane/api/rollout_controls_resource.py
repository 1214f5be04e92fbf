"""`/rollouts/{id}/promote/` and the like: what people do to a rollout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.fields import TextField
from control_plane.api.resource import link, read_body
from control_plane.api.rollout_document import RolloutDetailSerializer, rollout_document
from control_plane.api.rollouts_resource import OneRolloutView
from control_plane.rollouts import services
from control_plane.rollouts.models import Rollout
from control_plane.rollouts.selectors import get_rollout


class RolloutControl(serializers.Serializer[Any]):
    """Why it is done."""

    reason = TextField(required=False, allow_blank=True, default="")


_control = extend_schema(
    request=RolloutControl,
    responses={202: RolloutDetailSerializer},
    examples=[
        OpenApiExample("with a word", {"reason": "the labels look right"}, request_only=True),
        OpenApiExample("without", {}, request_only=True),
    ],
)


class RolloutControlView(OneRolloutView):
    """One control: the next look, within a second, carries it out."""

    write_permission = "rollouts.change_rollout"
    service: ClassVar[Callable[..., Rollout]]

    def done(self, request: Request, rollout_id: UUID, **more: Any) -> Response:
        """202 with the rollout as it stands after it."""
        body = read_body(RolloutControl, request)
        rollout_id = UUID(str(rollout_id))
        type(self).service(
            rollout_id=rollout_id, actor=self.actor, clock=wiring.clock(), **body, **more
        )
        location = link(request, "rollout", rollout_id=rollout_id)
        shown = rollout_document(request, get_rollout(rollout_id))
        return Response(shown, status=202, headers={"Location": location})


class RolloutPromoteView(RolloutControlView):
    """Promote now."""

    service = staticmethod(services.promote)

    @_control
    def post(self, request: Request, rollout_id: UUID) -> Response:
        """Skips what steps are left: the candidate gets everything.

        Of one that is promoted already, the watch ends.
        """
        return self.done(request, rollout_id)


class RolloutSkipView(RolloutControlView):
    """Skip a step."""

    service = staticmethod(services.skip)

    @_control
    def post(self, request: Request, rollout_id: UUID) -> Response:
        """Leaves the present step for the next one."""
        return self.done(request, rollout_id)


class RolloutPauseView(RolloutControlView):
    """Pause."""

    service = staticmethod(services.pause)

    @_control
    def post(self, request: Request, rollout_id: UUID) -> Response:
        """Holds it where it is until it is resumed; what is measured is still measured."""
        return self.done(request, rollout_id)


class RolloutResumeView(RolloutControlView):
    """Resume."""

    service = staticmethod(services.resume)

    @_control
    def post(self, request: Request, rollout_id: UUID) -> Response:
        """Goes on where it was paused; what was inconclusive is measured anew."""
        return self.done(request, rollout_id)


class RolloutAbortView(RolloutControlView):
    """Abort."""

    service = staticmethod(services.abort)

    @_control
    def post(self, request: Request, rollout_id: UUID) -> Response:
        """Takes it back by the routers alone: nothing is loaded, and one person is enough."""
        means = {"queue": wiring.queue(), "print_config": wiring.print_config}
        return self.done(request, rollout_id, **means)


class RolloutRetryView(RolloutControlView):
    """Retry."""

    service = staticmethod(services.retry)

    @_control
    def post(self, request: Request, rollout_id: UUID) -> Response:
        """Begins anew what ended without being promoted, with what is left of its harm budget."""
        return self.done(request, rollout_id)


class RolloutApproveView(RolloutControlView):
    """Approve."""

    service = staticmethod(services.approve)

    @_control
    def post(self, request: Request, rollout_id: UUID) -> Response:
        """Lets it go on: the whole of it, or the step that waits for an approval.

        Where the endpoint has the four-eyes rule, whoever started it is refused (403).
        """
        return self.done(request, rollout_id)

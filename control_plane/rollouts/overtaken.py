"""A rollout ends when a person moves the endpoint's traffic by hand: it touches nothing more."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from control_plane.audit.models import AuditEvent
from control_plane.domain.rollout.states import Event
from control_plane.rollouts.models import Rollout
from control_plane.rollouts.recording import happen

_WORDS = {
    "endpoint.policy": "changed the policy by hand",
    "endpoint.kill": "sent everything to the primary by the kill switch",
    "endpoint.delete": "deleted the endpoint",
}


def end_what_was_overtaken(*, event: AuditEvent, **_: Any) -> None:
    """Receives every audit event in its deed's transaction, which holds the endpoint."""
    words = _WORDS.get(event.action)
    if words is None:
        return
    rows = Rollout.objects.select_for_update().filter(
        endpoint_name=event.object_name, finished_at=None
    )
    for rollout in rows:
        reason = f"{event.actor} {words}: the rollout touches nothing more"
        happen(rollout, Event.OVERTAKEN, reason=reason, now=timezone.now(), actor=event.actor)

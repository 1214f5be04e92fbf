"""A rollout ends when a person moves the endpoint's traffic by hand: it touches nothing more."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from control_plane.audit.models import AuditEvent
from control_plane.domain.rollout.states import Event
from control_plane.endpoints.models import Endpoint
from control_plane.rollouts.models import Rollout
from control_plane.rollouts.recording import happen

_WORDS = {
    "endpoint.policy": "changed the policy by hand",
    "endpoint.delete": "deleted the endpoint",
}


_KILLED = "sent everything to the primary by the kill switch"


def end_what_was_overtaken(*, event: AuditEvent, **_: Any) -> None:
    """Receives every audit event in its deed's transaction, which holds the endpoint."""
    words = _WORDS.get(event.action)
    if words is None:
        return
    _end(event.object_name, event.actor, words)


def end_what_was_killed(*, endpoint: Endpoint, actor: str, **_: Any) -> None:
    """Receives every kill, in its transaction, which holds the endpoint.

    One that finds everything at the primary already has no audit event, and means the same.
    """
    _end(endpoint.name, actor, _KILLED)


def _end(endpoint: str, actor: str, words: str) -> None:
    rows = Rollout.objects.select_for_update().filter(endpoint_name=endpoint, finished_at=None)
    for rollout in rows:
        reason = f"{actor} {words}: the rollout touches nothing more"
        happen(rollout, Event.OVERTAKEN, reason=reason, now=timezone.now(), actor=actor)

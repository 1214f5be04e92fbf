"""Writing down what happens to a rollout: the transition, its event, and who is told."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Max

from control_plane.audit.services import record
from control_plane.domain.rollout.states import FINAL, Event, State, after
from control_plane.rollouts.measuring import stop_measuring
from control_plane.rollouts.models import Rollout, RolloutEvent
from control_plane.webhooks.outbox import tell

NEREID = "nereid"

_LEAVES = frozenset({Event.SKIP, Event.PROMOTE})
"""What leaves a step before it was measured to the end."""

_TOLD = {
    State.PAUSED: "paused",
    State.AWAITING_APPROVAL: "awaiting_approval",
    State.INCONCLUSIVE: "inconclusive",
    State.PROMOTED: "promoted",
    State.ROLLING_BACK: "rolling_back",
    State.ROLLED_BACK: "rolled_back",
    State.ABORTED: "aborted",
    State.FAILED: "failed",
}
"""State -> the event that tells of it; what it goes through on its way makes no noise."""


def happen(
    rollout: Rollout, event: Event, *, reason: str, now: datetime, actor: str = NEREID
) -> None:
    """Takes the rollout to the state that the event leads to, and keeps the event.

    Call it in a transaction that holds the rollout; whoever calls it saves what else changed.
    Where it ends in this state it is finished: one that is promoted is finished by `finish`.

    Raises:
        IllegalTransitionError: nothing of the kind can happen in that state.
    """
    before = State(rollout.state)
    state = after(before, event)
    rollout.state, rollout.reason = state, reason
    if state is not before:
        rollout.since = now
    if state in FINAL and state is not State.PROMOTED:
        rollout.finished_at, rollout.look_at = now, None
    rollout.save()
    _keep(rollout, event, before, reason, now, actor)
    if event in _LEAVES or state is State.ROLLING_BACK or rollout.finished_at:
        stop_measuring(rollout, reason, now)
    if state is not before and state in _TOLD:
        tell(f"rollout.{_TOLD[state]}", at=now, subject=subject(rollout), reason=reason)


def note_move(rollout: Rollout, *, reason: str, now: datetime) -> None:
    """Keeps that the rollout moved traffic within its state: to a step's share, or the next one."""
    _keep(rollout, "switch", State(rollout.state), reason, now, NEREID)


def finish(rollout: Rollout, *, reason: str, now: datetime) -> None:
    """Ends one that is promoted: it is watched no more."""
    rollout.finished_at, rollout.look_at, rollout.reason = now, None, reason
    rollout.save()
    _keep(rollout, "finished", State(rollout.state), reason, now, NEREID)
    tell("rollout.finished", at=now, subject=subject(rollout), reason=reason)


def note_deed(
    rollout: Rollout,
    action: str,
    actor: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str = "",
) -> None:
    """The audit event of what a person did to a rollout."""
    record(
        actor=actor,
        action=f"rollout.{action}",
        object_type="rollout",
        object_id=rollout.id,
        object_name=f"{rollout.endpoint_name}:{rollout.number}",
        before=before,
        after=after,
        reason=reason,
    )


def keep_start(rollout: Rollout, now: datetime) -> None:
    """The first event of a rollout."""
    _keep(rollout, "start", None, rollout.reason, now, rollout.started_by)


def subject(rollout: Rollout) -> dict[str, Any]:
    """What a webhook's event says that it is about."""
    return {"endpoint": rollout.endpoint_name, "rollout": rollout.number, "state": rollout.state}


def _keep(
    rollout: Rollout, event: str, before: State | None, reason: str, now: datetime, actor: str
) -> None:
    last = rollout.events.aggregate(last=Max("number"))["last"] or 0
    RolloutEvent.objects.create(
        rollout=rollout,
        number=last + 1,
        at=now,
        event=event,
        state_before=before or "",
        state_after=rollout.state,
        step=rollout.step,
        reason=reason,
        actor=actor,
    )

"""What people do to a rollout: each control is one write with its audit event.

Everything here holds the endpoint's row first and the rollout's second, as whoever moves traffic
does. A control that says where the rollout goes writes that; the next look, within a second, goes
there. Only the way back does not wait for it: it is written at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from control_plane.domain.rollout.states import Event, State
from control_plane.domain.rollout.steps import Approval
from control_plane.domain.stored_json import check_text
from control_plane.endpoints.changes import person_of
from control_plane.endpoints.models import Endpoint
from control_plane.ports.clock import Clock
from control_plane.ports.config_printer import ConfigPrinter
from control_plane.ports.queue import Queue
from control_plane.rollouts.controls import check_control
from control_plane.rollouts.models import Rollout
from control_plane.rollouts.moving import Moves
from control_plane.rollouts.recording import happen, note_deed
from control_plane.rollouts.selectors import get_rollout
from control_plane.rollouts.starting import begin_anew, start_rollout

__all__ = ["abort", "approve", "pause", "promote", "resume", "retry", "skip", "start_rollout"]


@dataclass(frozen=True)
class Held:
    """A rollout and its endpoint, locked; `endpoint` None: it was deleted."""

    endpoint: Endpoint | None
    rollout: Rollout
    now: datetime


def promote(*, rollout_id: UUID, actor: str, clock: Clock, reason: str = "") -> Rollout:
    """Skips what steps are left: the candidate gets everything. What is watched is watched no more.

    Raises:
        NotFoundError: there is no such rollout.
        NotAllowedError: an approval is left, and the actor started the rollout under four eyes.
        ConflictError: its state forbids it.
    """
    with _held(rollout_id, clock) as held:
        rollout = held.rollout
        check_control(rollout, Event.PROMOTE, person_of(actor))
        words = _by(actor, "promoted it", reason)
        if rollout.state == State.PROMOTED:
            rollout.watch_until = held.now
        _go_on(rollout, len(rollout.steps), held.now)
        _do(held, Event.PROMOTE, actor, words, reason)
    return rollout


def skip(*, rollout_id: UUID, actor: str, clock: Clock, reason: str = "") -> Rollout:
    """Leaves the present step for the next one.

    Raises:
        NotFoundError, NotAllowedError, ConflictError: as `promote`.
    """
    with _held(rollout_id, clock) as held:
        rollout = held.rollout
        check_control(rollout, Event.SKIP, person_of(actor))
        _go_on(rollout, rollout.step + 1, held.now)
        _do(held, Event.SKIP, actor, _by(actor, "skipped a step", reason), reason)
    return rollout


def pause(*, rollout_id: UUID, actor: str, clock: Clock, reason: str = "") -> Rollout:
    """Holds it where it is, until somebody says to go on; what is measured is still measured.

    Raises:
        NotFoundError, ConflictError: as `promote`.
    """
    with _held(rollout_id, clock) as held:
        rollout = held.rollout
        check_control(rollout, Event.PAUSE, person_of(actor))
        rollout.held_by, rollout.pause_until, rollout.deadline_at = actor, None, None
        _do(held, Event.PAUSE, actor, _by(actor, "paused it", reason), reason)
    return rollout


def resume(*, rollout_id: UUID, actor: str, clock: Clock, reason: str = "") -> Rollout:
    """Goes on: a pause of the steps is over, one by hand returns to its step.

    What was inconclusive is measured anew.

    Raises:
        NotFoundError, ConflictError: as `promote`.
    """
    with _held(rollout_id, clock) as held:
        rollout = held.rollout
        check_control(rollout, Event.RESUME, person_of(actor))
        own_pause = rollout.state == State.PAUSED and not rollout.held_by
        _go_on(rollout, rollout.step + own_pause, held.now)
        _do(held, Event.RESUME, actor, _by(actor, "resumed it", reason), reason)
    return rollout


def approve(*, rollout_id: UUID, actor: str, clock: Clock, reason: str = "") -> Rollout:
    """Lets it go on: the whole of it, or the step that waits for an approval.

    Raises:
        NotFoundError, ConflictError: as `promote`.
        NotAllowedError: the actor started it, and the endpoint has the four-eyes rule.
    """
    with _held(rollout_id, clock) as held:
        rollout, person = held.rollout, person_of(actor)
        check_control(rollout, Event.APPROVE, person)
        if not person.is_same(rollout.starter_person):
            rollout.approved_by, rollout.approver_id = person.name, person.key
        words = _by(actor, "approved it", reason)
        step = rollout.steps[rollout.step] if rollout.step < len(rollout.steps) else None
        _go_on(rollout, rollout.step + (rollout.begun and isinstance(step, Approval)), held.now)
        event = Event.APPROVE if rollout.begun else Event.ADMIT
        _do(held, event, actor, words, reason, action="approve")
    return rollout


def abort(
    *,
    rollout_id: UUID,
    actor: str,
    clock: Clock,
    queue: Queue,
    print_config: ConfigPrinter,
    reason: str = "",
) -> Rollout:
    """Takes it back, by the routers alone: a way out, which is open to one person.

    Raises:
        NotFoundError, ConflictError: as `promote`.
    """
    with _held(rollout_id, clock) as held:
        rollout = held.rollout
        check_control(rollout, Event.ABORT, person_of(actor))
        words = _by(actor, "aborted it", reason)
        returning = rollout.state == State.ROLLING_BACK
        rollout.ending = State.ABORTED
        if rollout.begun and not returning and held.endpoint:
            Moves(queue, print_config).take_back(held.endpoint, rollout, words)
        _do(held, Event.ABORT, actor, words, reason)
        if rollout.state == State.ROLLING_BACK and not rollout.begun:
            happen(rollout, Event.RETURNED_ABORTED, reason=words, now=held.now, actor=actor)
    return rollout


def retry(*, rollout_id: UUID, actor: str, clock: Clock, reason: str = "") -> Rollout:
    """Begins anew what ended without being promoted, or measures anew what was inconclusive.

    What it did harm counts on: there is no more of the budget than what is left.

    Raises:
        NotFoundError: there is no such rollout.
        ConflictError: its state forbids it, another rollout is under way, nothing of the budget
            is left, or it could not begin any more.
    """
    with _held(rollout_id, clock) as held:
        rollout = held.rollout
        check_control(rollout, Event.RETRY, person_of(actor))
        words = _by(actor, "tried it again", reason)
        if rollout.state == State.INCONCLUSIVE:
            _go_on(rollout, rollout.step, held.now)
            _do(held, Event.RETRY, actor, words, reason)
        else:
            begin_anew(rollout, held.endpoint, held.now)
            _do(held, Event.RETRY, actor, words, reason)
            if held.endpoint and held.endpoint.four_eyes:
                second = "the endpoint has the four-eyes rule: a second person approves"
                happen(rollout, Event.ASK, reason=second, now=held.now)
    return rollout


@contextmanager
def _held(rollout_id: UUID, clock: Clock) -> Iterator[Held]:
    with transaction.atomic():
        found = get_rollout(rollout_id)
        rows = Endpoint.objects.select_for_update(of=("self",)).filter(deleted_at=None)
        endpoint = rows.filter(rollouts=found).first()
        rollout = Rollout.objects.select_for_update(of=("self",)).get(pk=found.pk)
        yield Held(endpoint, rollout, clock.now())


def _do(
    held: Held, event: Event, actor: str, words: str, reason: str, *, action: str | None = None
) -> None:
    """Takes the rollout where the event leads, with its event of the audit record."""
    check_text(reason, "/reason")
    rollout = held.rollout
    before = {"state": rollout.state, "step": rollout.step}
    rollout.look_at = held.now
    happen(rollout, event, reason=words, now=held.now, actor=actor)
    after = {"state": rollout.state, "step": rollout.step}
    note_deed(rollout, action or event.value, actor, before=before, after=after, reason=reason)


def _go_on(rollout: Rollout, step: int, now: datetime) -> None:
    """Puts the rollout to the beginning of a step."""
    if step != rollout.step or rollout.state == State.PREPARING:
        rollout.step_written = False
    rollout.step, rollout.step_since = min(step, len(rollout.steps)), now
    rollout.held_by, rollout.pause_until, rollout.deadline_at = "", None, None


def _by(actor: str, deed: str, reason: str) -> str:
    return f"{actor} {deed}: {reason}" if reason else f"{actor} {deed}"

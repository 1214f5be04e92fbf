"""One look at a rollout: what was measured is counted, what follows is decided, and written.

All of it is one transaction that holds the endpoint and the rollout, so there is no lease: of two
looks at once the second finds what the first one wrote, and one that is killed wrote nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from control_plane.audit.subject import about
from control_plane.domain.rollout.deciding import decide
from control_plane.domain.rollout.harm import share_out
from control_plane.domain.rollout.policies import WATCHED
from control_plane.domain.rollout.snapshot import LOOK, Decision, Do, Harm, Snapshot
from control_plane.domain.rollout.states import Event, State
from control_plane.domain.rollout.steps import Kind, Ramp, Split, split_at
from control_plane.domain.routing.policy import SLOTS
from control_plane.domain.violations import InvalidInputError, NotFoundError
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.placing import grantees
from control_plane.ports.clock import Clock
from control_plane.ports.config_printer import ConfigPrinter
from control_plane.ports.queue import Queue
from control_plane.rollouts.arrivals import arrival_of
from control_plane.rollouts.measuring import (
    candidate_of,
    charge_late_failures,
    count_harm,
    look_at_runs,
    measure,
    measured,
    stop_measuring,
    wants_twin,
)
from control_plane.rollouts.models import Rollout
from control_plane.rollouts.moving import Moves, deadline
from control_plane.rollouts.pacing import share_of
from control_plane.rollouts.recording import finish, happen, note_move
from control_plane.rollouts.selectors import due_rollouts
from control_plane.telemetry.store import TelemetryStore

logger = logging.getLogger(__name__)

_TURNS = 12
"""How much may follow from one look; what is left then follows from the next."""

_EARLY = LOOK / 2
"""A look that is due within this is taken now: ticks do not come to the millisecond."""


@dataclass(frozen=True)
class Means:
    """What a look needs of the world."""

    clock: Clock
    queue: Queue
    print_config: ConfigPrinter
    store: TelemetryStore


def due(now: datetime) -> list[UUID]:
    """The rollouts to be looked at now."""
    return list(due_rollouts(now + _EARLY).values_list("id", flat=True))


def advance_all(rollout_ids: list[UUID], means: Means) -> Iterator[UUID]:
    """Takes a look at each, and says the endpoints whose traffic was moved, each at once.

    What goes wrong with one is that one's alone.
    """
    for rollout_id in rollout_ids:
        before = Rollout.objects.filter(id=rollout_id).values_list("generation", flat=True).first()
        try:
            with about(rollout=str(rollout_id)):
                rollout = advance(rollout_id, means)
        except Exception:
            logger.exception("rollout %s could not be looked at", rollout_id)
            continue
        if rollout and rollout.endpoint_id and rollout.generation != before:
            yield rollout.endpoint_id


def advance(rollout_id: UUID, means: Means) -> Rollout | None:
    """Takes one rollout as far as it goes now.

    Returns:
        The rollout; None where there is nothing to look at.
    """
    with transaction.atomic():
        held = _hold(rollout_id)
        if held is None:
            return None
        endpoint, rollout = held
        now = means.clock.now()
        if _overtaken(endpoint, rollout, now):
            return rollout
        charge_late_failures(rollout, means.store)
        harm = count_harm(rollout, endpoint, means.store)
        look_at_runs(rollout, means.store, now)
        for _ in range(_TURNS):
            decision = decide(_snapshot(endpoint, rollout, harm, now))
            _carry_out(decision, endpoint, rollout, now, Moves(means.queue, means.print_config))
            if decision.rests or not rollout.active:
                break
        if rollout.active:
            rollout.look_at = now + LOOK
            rollout.save()
    return rollout


def _hold(rollout_id: UUID) -> tuple[Endpoint, Rollout] | None:
    """The endpoint and then the rollout, locked; None where it has ended."""
    rows = Endpoint.objects.select_for_update(of=("self",))
    endpoint = rows.filter(rollouts=rollout_id).first()
    rollout = Rollout.objects.select_for_update(of=("self",)).filter(id=rollout_id).first()
    if rollout is None or not rollout.active or endpoint is None:
        return None
    return endpoint, rollout


def _overtaken(endpoint: Endpoint, rollout: Rollout, now: datetime) -> bool:
    """Ends it where another policy is the intent than the one that it wrote.

    Whoever moves traffic by hand ends it at once (`overtaken`); this is for what came past that.
    A generation that was lifted over what a node remembers has the same policy, and is its own.
    """
    if not rollout.begun or endpoint.policy == rollout.written:
        rollout.generation = endpoint.generation if rollout.begun else rollout.generation
        return False
    reason = "the endpoint has another policy than the rollout gave it: it touches nothing more"
    happen(rollout, Event.OVERTAKEN, reason=reason, now=now)
    return True


def _snapshot(endpoint: Endpoint, rollout: Rollout, harm: Harm, now: datetime) -> Snapshot:
    return Snapshot(
        state=State(rollout.state),
        what=str(rollout.to),
        strategy=rollout.plan,
        step=rollout.step,
        now=now,
        arrival=arrival_of(endpoint, now),
        runs=measured(rollout),
        harm=harm,
        share=share_of(rollout, harm, now),
        written=rollout.step_written,
        twin=rollout.twin,
        second_person=endpoint.four_eyes and not rollout.approved_by,
        held_by=rollout.held_by,
        pause_until=rollout.pause_until,
        deadline_at=rollout.deadline_at,
        watch=timedelta(seconds=rollout.watch_seconds),
        watch_until=rollout.watch_until,
        ending=State(rollout.ending or State.ROLLED_BACK),
    )


def _carry_out(
    decision: Decision, endpoint: Endpoint, rollout: Rollout, now: datetime, moves: Moves
) -> None:
    """Writes what was decided: first what it does, then where that leads.

    A policy that cannot be compiled any more ends it as failed, with the reason.
    """
    if decision.ending is not None:
        rollout.ending = decision.ending
    if decision.deadline:
        rollout.deadline_at = deadline(rollout, now)
    if decision.share is not None:
        rollout.share = decision.share
    reason = decision.reason or rollout.reason
    before = [action for action in decision.actions if action is not Do.MEASURE]
    try:
        with transaction.atomic():
            for action in before:
                _do(action, endpoint, rollout, reason, now, moves)
    except InvalidInputError as invalid:
        endpoint.refresh_from_db()
        rollout.refresh_from_db()
        _give_up(endpoint, rollout, f"{reason}: {invalid}", now, moves)
        return
    if decision.event is not None:
        _enter(decision.event, decision, rollout, reason, now)
    else:
        rollout.reason = reason
        if decision.deadline:  # it moved traffic
            note_move(rollout, reason=reason, now=now)
    if Do.MEASURE in decision.actions:
        _begin_to_measure(rollout, endpoint, now)


def _enter(event: Event, decision: Decision, rollout: Rollout, reason: str, now: datetime) -> None:
    """Notes what belongs to the state that is entered, and enters it."""
    before = rollout.state
    if decision.step is not None:
        rollout.step, rollout.step_since = decision.step, now
        rollout.step_written, rollout.deadline_at = False, None
    if before == State.PREPARING and event is Event.ARRIVED:
        rollout.granted_at, rollout.step_since = now, now
        rollout.step_written, rollout.deadline_at = False, None
    if event is Event.STEPS_DONE:
        rollout.step_written = False
    if before == State.PROMOTING and event is Event.ARRIVED:
        rollout.deadline_at = None
        if decision.watch_until is not None:
            rollout.watch_until, rollout.step_written = decision.watch_until, False
    rollout.pause_until = decision.pause_until
    happen(rollout, event, reason=reason, now=now)


def _do(
    action: Do, endpoint: Endpoint, rollout: Rollout, reason: str, now: datetime, moves: Moves
) -> None:
    if action is Do.PREPARE:
        _grant(endpoint, rollout)
        rollout.found = endpoint.policy
        present = endpoint.revisions.filter(generation=endpoint.generation).first()
        rollout.found_revision = present.number if present else None
        rollout.twin = wants_twin(rollout)
        moves.split(endpoint, rollout, Split(), reason)
        rollout.candidate = candidate_of(rollout, endpoint)
    elif action is Do.PREPARE_ALONE:
        rollout.twin = False
        moves.split(endpoint, rollout, Split(), reason)
    elif action is Do.SPLIT:
        moves.split(endpoint, rollout, split_at(rollout.steps, rollout.step), reason)
        rollout.step_written = True
    elif action in (Do.FIRST_SHARE, Do.NEXT_SHARE):
        _share(action, endpoint, rollout, reason, now, moves)
    elif action is Do.WATCH:
        blue_green = rollout.plan.kind is Kind.BLUE_GREEN
        moves.split(endpoint, rollout, Split(SLOTS if blue_green else WATCHED), reason)
        rollout.step_written = True
    elif action is Do.PROMOTE:
        moves.promote(endpoint, rollout, reason)
        rollout.step_written = True
    elif action is Do.TAKE_BACK:
        moves.take_back(endpoint, rollout, reason)
    elif action is Do.RESTORE:
        moves.restore(endpoint, rollout, reason)
    elif action is Do.STOP_MEASURING:
        stop_measuring(rollout, reason, now)
    elif action is Do.FINISH:
        finish(rollout, reason=reason, now=now)


def _share(
    action: Do, endpoint: Endpoint, rollout: Rollout, reason: str, now: datetime, moves: Moves
) -> None:
    """Writes the share that the evidence chose; it is young again."""
    step = rollout.steps[rollout.step]
    if action is Do.FIRST_SHARE and isinstance(step, Ramp):
        rollout.share = step.first
    moves.split(endpoint, rollout, Split(rollout.share), reason)
    rollout.step_written, rollout.step_since = True, now


def _grant(endpoint: Endpoint, rollout: Rollout) -> None:
    """Gives the routers what is left of the harm budget, under a word of this attempt's own."""
    word = f"rollout {rollout.id} {rollout.attempt}"
    left = max(0, rollout.harm_budget - rollout.harm_before)
    # Named: a server that joins later has none of it, so the sum stays what it is.
    names = grantees(endpoint)
    grant = share_out(word, left, len(names))
    rollout.grant, rollout.granted_each, rollout.granted_servers = word, grant.each, grant.servers
    rollout.granted_to = names
    rollout.granted_at, rollout.harm_cursors, rollout.failed_seen = None, {}, 0


def _begin_to_measure(rollout: Rollout, endpoint: Endpoint, now: datetime) -> None:
    try:
        measure(rollout, endpoint, now)
    except NotFoundError as missing:
        # Somebody deleted the template: it cannot be measured, and that is for a person to say.
        if State(rollout.state) is State.PROMOTED:
            rollout.reason = f"{rollout.reason}; not measured: {missing}"
            return
        happen(rollout, Event.NOT_MEASURED, reason=f"it cannot be measured: {missing}", now=now)


def _give_up(
    endpoint: Endpoint, rollout: Rollout, reason: str, now: datetime, moves: Moves
) -> None:
    if rollout.state == State.ROLLING_BACK:
        raise RuntimeError(f"{rollout} cannot be taken back: {reason}")
    if rollout.begun:
        rollout.ending = State.FAILED
        stop_measuring(rollout, reason, now)
        moves.take_back(endpoint, rollout, reason)
    happen(rollout, Event.REFUSED, reason=reason, now=now)

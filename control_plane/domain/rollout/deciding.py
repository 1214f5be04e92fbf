"""What happens to a rollout next, decided from a frozen snapshot.

Read as: what takes it back comes first, then what its state waits for. Error (it could not be
measured) is neither failure (it was measured to be bad) nor success: it asks a person.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from control_plane.domain.analysis.looks import Phase
from control_plane.domain.analysis.template import OnInconclusive
from control_plane.domain.rollout.snapshot import Decision, Do, Measured, Snapshot
from control_plane.domain.rollout.states import Event, State
from control_plane.domain.rollout.steps import Analysis, Approval, Pause, Ramp, Step
from control_plane.domain.routing.policy import percent

_MEASURED = frozenset(
    {
        *(State.PROGRESSING, State.PAUSED, State.ANALYSING, State.AWAITING_APPROVAL),
        *(State.INCONCLUSIVE, State.PROMOTING, State.PROMOTED),
    }
)
"""Where the candidate may have requests."""

_FORWARD = frozenset({Do.SPLIT, Do.FIRST_SHARE, Do.NEXT_SHARE, Do.WATCH, Do.PROMOTE})
"""What brings new traffic where the candidate is loaded."""

_RETURNED = {
    State.ROLLED_BACK: Event.RETURNED,
    State.ABORTED: Event.RETURNED_ABORTED,
    State.FAILED: Event.RETURNED_FAILED,
}


def decide(snapshot: Snapshot) -> Decision:
    """The next thing that happens to the rollout."""
    if snapshot.state in _MEASURED and (back := _taken_back(snapshot)):
        return back
    decision = _DECIDERS[snapshot.state](snapshot)
    if snapshot.second_person and _FORWARD & set(decision.actions):
        reason = "the endpoint has the four-eyes rule by now: a second person approves"
        return Decision(reason, Event.NEED_APPROVAL)
    return decision


def _taken_back(snapshot: Snapshot) -> Decision | None:
    """What ends it wherever it stands: the harm budget, or a measurement that failed."""
    harm = snapshot.harm
    if harm.spent:
        reason = f"the harm budget is spent: {harm.failed} of {harm.granted} attempts failed"
        return _back(Event.BUDGET_SPENT, reason, State.ROLLED_BACK)
    for run in snapshot.runs:
        if run.phase is Phase.FAILED and run.counts:
            if snapshot.state is State.PROMOTING:
                break  # what was measured before a person said to promote it
            return _back(Event.MEASURED_BAD, run.reason, State.ROLLED_BACK)
    may_be_lost = snapshot.state not in (State.INCONCLUSIVE, State.PROMOTING)
    if harm.lost and may_be_lost:
        reason = (
            "servers were started anew, so what was left of the harm budget there counts as spent, "
            "and the candidate gets no requests any more: abort it, and start another rollout"
        )
        return Decision(reason, Event.BUDGET_LOST)
    return None


def _back(event: Event, reason: str, ending: State) -> Decision:
    actions = (Do.STOP_MEASURING, Do.TAKE_BACK)
    return Decision(reason, event, actions, ending=ending)


def _pending(snapshot: Snapshot) -> Decision:
    if snapshot.second_person:
        reason = "the endpoint has the four-eyes rule: a second person approves"
        return Decision(reason, Event.ASK)
    arrival = snapshot.arrival
    if arrival.refused:
        reason = f"the endpoint's present policy cannot be carried out: {arrival.refused}"
        return Decision(reason, Event.REFUSED)
    if snapshot.late:
        return Decision(f"the deadline passed: {_waiting(snapshot)}", Event.DEADLINE)
    if not arrival.arrived:
        return Decision(f"waiting for the endpoint's present policy {_waiting(snapshot)}")
    reason = f"loading {snapshot.what} on every server"
    return Decision(reason, Event.BEGIN, (Do.PREPARE,), deadline=True)


def _preparing(snapshot: Snapshot) -> Decision:
    if snapshot.twin and snapshot.arrival.refused and not snapshot.second_person:
        reason = (
            f"loading {snapshot.what} without a twin of what serves, for which there is no room: "
            f"{snapshot.arrival.refused}"
        )
        return Decision(reason, actions=(Do.PREPARE_ALONE,), deadline=True)
    if gone_wrong := _not_carried_out(snapshot, f"loading {snapshot.what}"):
        return gone_wrong
    if not snapshot.arrival.arrived:
        return Decision(f"loading {snapshot.what} {_waiting(snapshot)}")
    return Decision(f"{snapshot.what} is loaded on every server", Event.ARRIVED)


def _progressing(snapshot: Snapshot) -> Decision:
    steps = snapshot.strategy.steps
    if snapshot.step >= len(steps):
        return Decision("every step is done", Event.STEPS_DONE)
    return _step(snapshot, steps[snapshot.step])


def _step(snapshot: Snapshot, step: Step) -> Decision:
    if isinstance(step, Analysis):
        reason = f"measuring by {', '.join(step.templates)}"
        return Decision(reason, Event.ANALYSE, (Do.MEASURE,))
    if isinstance(step, Approval):
        return Decision("waiting for a person to approve", Event.NEED_APPROVAL)
    if isinstance(step, Pause):
        if step.duration is None:
            return Decision("paused by its steps until somebody resumes it", Event.WAIT)
        until = snapshot.now + timedelta(microseconds=step.duration)
        reason = f"paused by its steps until {until:%H:%M:%S} UTC"
        return Decision(reason, Event.WAIT, pause_until=until)
    if not snapshot.written:
        todo = Do.FIRST_SHARE if isinstance(step, Ramp) else Do.SPLIT
        return Decision(f"switching to {step}", actions=(todo,), deadline=True)
    if gone_wrong := _not_carried_out(snapshot, f"switching to {step}"):
        return gone_wrong
    if not snapshot.arrival.arrived:
        return Decision(f"switching to {step} {_waiting(snapshot)}")
    if isinstance(step, Ramp):
        reason = f"{percent(snapshot.share.present)} %, and measuring all the while"
        return Decision(reason, Event.ANALYSE, (Do.MEASURE,))
    return Decision(f"{step} is in force on every server", Event.ARRIVED, step=snapshot.step + 1)


def _paused(snapshot: Snapshot) -> Decision:
    if snapshot.held_by:
        return Decision(f"{snapshot.held_by} paused it, and it waits to be resumed")
    if snapshot.pause_until is None:
        return Decision("paused by its steps until somebody resumes it")
    if snapshot.now < snapshot.pause_until:
        return Decision(f"paused by its steps until {snapshot.pause_until:%H:%M:%S} UTC")
    return Decision("the pause is over", Event.ELAPSED, step=snapshot.step + 1)


def _analysing(snapshot: Snapshot) -> Decision:
    if not snapshot.runs:
        return Decision("beginning to measure", actions=(Do.MEASURE,))
    for run in snapshot.runs:
        if run.counts and (stopped := _undecided(run)):
            return stopped
    said = "; ".join(f"{run.template}: {run.reason}" for run in snapshot.runs)
    step = next(iter(snapshot.strategy.steps[snapshot.step :]), None)
    if isinstance(step, Ramp) and (on_its_way := _ramping(snapshot, step, said)):
        return on_its_way
    if all(run.phase.ended for run in snapshot.runs):
        return Decision(said, Event.MEASURED_GOOD, step=snapshot.step + 1)
    return Decision(said)


def _ramping(snapshot: Snapshot, step: Ramp, said: str) -> Decision | None:
    """The next share, or what it waits for; None where it has all that it is to have."""
    share = snapshot.share
    shown = f"{percent(share.present)} %"
    if gone_wrong := _not_carried_out(snapshot, f"switching to {shown}"):
        return gone_wrong
    if not snapshot.arrival.arrived:
        return Decision(f"switching to {shown} {_waiting(snapshot)}")
    if share.changes and share.allowed is not None:
        reason = f"from {shown} to {percent(share.allowed)} %: {share.why}"
        return Decision(reason, actions=(Do.NEXT_SHARE,), deadline=True, share=share.allowed)
    if share.present >= step.most:
        return None
    return Decision(f"{shown}; {share.why}; {said}" if share.why else f"{shown}; {said}")


def _undecided(run: Measured) -> Decision | None:
    said = f"{run.template}: {run.reason}"
    if run.phase is Phase.ERROR:
        return Decision(said, Event.NOT_MEASURED, (Do.STOP_MEASURING,))
    if run.phase is not Phase.INCONCLUSIVE or run.on_inconclusive is OnInconclusive.PROCEED:
        return None
    if run.on_inconclusive is OnInconclusive.ABORT:
        return _back(Event.DEADLINE, said, State.ROLLED_BACK)
    return Decision(said, Event.UNDECIDED, (Do.STOP_MEASURING,))


def _promoting(snapshot: Snapshot) -> Decision:
    watched = bool(snapshot.watch) and not snapshot.harm.lost
    if not snapshot.written:
        reason = f"switching everything to {snapshot.what}"
        todo = Do.WATCH if watched else Do.PROMOTE
        return Decision(reason, actions=(Do.STOP_MEASURING, todo), deadline=True)
    if gone_wrong := _not_carried_out(snapshot, f"switching everything to {snapshot.what}"):
        return gone_wrong
    if not snapshot.arrival.arrived:
        return Decision(f"switching everything to {snapshot.what} {_waiting(snapshot)}")
    if not watched:
        return Decision(f"{snapshot.what} serves everything", Event.ARRIVED)
    until = snapshot.now + snapshot.watch
    reason = f"{snapshot.what} serves, and is watched until {until:%H:%M:%S} UTC"
    return Decision(reason, Event.ARRIVED, (Do.MEASURE,), watch_until=until)


def _promoted(snapshot: Snapshot) -> Decision:
    if snapshot.written:
        if not snapshot.arrival.arrived:
            return Decision(f"letting go what served before {_waiting(snapshot)}")
        return Decision(f"{snapshot.what} serves everything", actions=(Do.FINISH,))
    until = snapshot.watch_until
    if until is not None and snapshot.now < until:
        again = any(run.phase is Phase.SUCCESSFUL for run in snapshot.runs)
        said = "; ".join(run.reason for run in snapshot.runs)
        reason = f"{snapshot.what} serves, and is watched until {until:%H:%M:%S} UTC: {said}"
        # It is good so far; what happens later in the window is measured anew.
        return Decision(reason, actions=(Do.MEASURE,) if again else ())
    actions = (Do.STOP_MEASURING, Do.PROMOTE)
    return Decision("the watch is over: letting go what served before", Event.ELAPSED, actions)


def _rolling_back(snapshot: Snapshot) -> Decision:
    if not snapshot.arrival.arrived:
        return Decision("")
    return Decision("", _RETURNED[snapshot.ending], (Do.RESTORE,))


def _waits_for_a_person(_: Snapshot) -> Decision:
    return Decision("")


def _not_carried_out(snapshot: Snapshot, what: str) -> Decision | None:
    """A server that refuses, or a deadline that passed: taken back as failed."""
    if snapshot.arrival.refused:
        return _back(Event.REFUSED, f"{what}: {snapshot.arrival.refused}", State.FAILED)
    if snapshot.late and not snapshot.arrival.arrived:
        return _back(
            Event.DEADLINE, f"the deadline passed: {what} {_waiting(snapshot)}", State.FAILED
        )
    return None


def _waiting(snapshot: Snapshot) -> str:
    return f"on {snapshot.arrival.waiting or 'every server'}"


_DECIDERS: dict[State, Callable[[Snapshot], Decision]] = {
    State.PENDING: _pending,
    State.PREPARING: _preparing,
    State.PROGRESSING: _progressing,
    State.PAUSED: _paused,
    State.ANALYSING: _analysing,
    State.AWAITING_APPROVAL: _waits_for_a_person,
    State.INCONCLUSIVE: _waits_for_a_person,
    State.PROMOTING: _promoting,
    State.PROMOTED: _promoted,
    State.ROLLING_BACK: _rolling_back,
}

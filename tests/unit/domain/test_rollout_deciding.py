"""What a look decides in each state."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.analysis.looks import Phase
from control_plane.domain.analysis.template import OnInconclusive
from control_plane.domain.rollout.deciding import decide
from control_plane.domain.rollout.snapshot import Arrival, Do, Harm, Measured, Share, Snapshot
from control_plane.domain.rollout.states import FINAL, Event, State, after
from control_plane.domain.rollout.steps import (
    Analysis,
    Approval,
    Kind,
    Pause,
    Ramp,
    SetWeight,
    Strategy,
)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HERE, ON_ITS_WAY = Arrival(True), Arrival(False, waiting="b")
REFUSED = Arrival(False, refused="b: failed to load")
STEPS = (SetWeight(500), Analysis(), Pause(60_000_000), Pause(), Approval())


def at(state: State, **more: Any) -> Snapshot:
    start = Snapshot(state, "digits version 2", Strategy(Kind.CANARY, STEPS), 0, NOW, HERE)
    return replace(start, **more)


def run(phase: Phase, **more: Any) -> Measured:
    return Measured("default", phase, "errors: so it is", **more)


LATE = {"deadline_at": NOW - timedelta(seconds=1)}
SOON = {"deadline_at": NOW + timedelta(seconds=1)}


@pytest.mark.parametrize(
    ("snapshot", "event", "actions"),
    [
        (at(State.PENDING), Event.BEGIN, (Do.PREPARE,)),
        (at(State.PENDING, arrival=ON_ITS_WAY), None, ()),
        (at(State.PENDING, arrival=ON_ITS_WAY, **LATE), Event.DEADLINE, ()),
        (at(State.PENDING, arrival=REFUSED), Event.REFUSED, ()),
        (at(State.PENDING, second_person=True), Event.ASK, ()),
        (at(State.PREPARING), Event.ARRIVED, ()),
        (at(State.PREPARING, arrival=ON_ITS_WAY, **SOON), None, ()),
        (at(State.PREPARING, arrival=ON_ITS_WAY, **LATE), Event.DEADLINE, "back"),
        (at(State.PREPARING, arrival=REFUSED), Event.REFUSED, "back"),
        (at(State.PROGRESSING), None, (Do.SPLIT,)),
        (at(State.PROGRESSING, written=True), Event.ARRIVED, ()),
        (at(State.PROGRESSING, written=True, arrival=ON_ITS_WAY, **SOON), None, ()),
        (at(State.PROGRESSING, written=True, arrival=ON_ITS_WAY, **LATE), Event.DEADLINE, "back"),
        (at(State.PROGRESSING, step=1), Event.ANALYSE, (Do.MEASURE,)),
        (at(State.PROGRESSING, step=2), Event.WAIT, ()),
        (at(State.PROGRESSING, step=4), Event.NEED_APPROVAL, ()),
        (at(State.PROGRESSING, step=5), Event.STEPS_DONE, ()),
        (at(State.PROGRESSING, second_person=True), Event.NEED_APPROVAL, ()),
        (at(State.PROMOTING, second_person=True), Event.NEED_APPROVAL, ()),
        (at(State.PROMOTED, watch_until=NOW, second_person=True), Event.NEED_APPROVAL, ()),
        (at(State.ROLLING_BACK, second_person=True), Event.RETURNED, (Do.RESTORE,)),
        (at(State.PAUSED, pause_until=NOW), Event.ELAPSED, ()),
        (at(State.PAUSED, pause_until=NOW + timedelta(seconds=1)), None, ()),
        (at(State.PAUSED, held_by="ada", pause_until=NOW), None, ()),
        (at(State.PAUSED), None, ()),
        (at(State.ANALYSING, runs=(run(Phase.RUNNING),)), None, ()),
        (at(State.ANALYSING, runs=(run(Phase.SUCCESSFUL),)), Event.MEASURED_GOOD, ()),
        (
            at(State.ANALYSING, runs=(run(Phase.SUCCESSFUL), run(Phase.RUNNING))),
            None,
            (),
        ),
        (at(State.ANALYSING, runs=(run(Phase.FAILED),)), Event.MEASURED_BAD, "back"),
        (at(State.ANALYSING, runs=(run(Phase.FAILED, counts=False),)), Event.MEASURED_GOOD, ()),
        (at(State.ANALYSING, runs=(run(Phase.ERROR),)), Event.NOT_MEASURED, (Do.STOP_MEASURING,)),
        (
            at(State.ANALYSING, runs=(run(Phase.INCONCLUSIVE),)),
            Event.UNDECIDED,
            (Do.STOP_MEASURING,),
        ),
        (
            at(
                State.ANALYSING,
                runs=(run(Phase.INCONCLUSIVE, on_inconclusive=OnInconclusive.ABORT),),
            ),
            Event.DEADLINE,
            "back",
        ),
        (
            at(
                State.ANALYSING,
                runs=(run(Phase.INCONCLUSIVE, on_inconclusive=OnInconclusive.PROCEED),),
            ),
            Event.MEASURED_GOOD,
            (),
        ),
        (at(State.PAUSED, held_by="ada", runs=(run(Phase.FAILED),)), Event.MEASURED_BAD, "back"),
        (at(State.PAUSED, held_by="ada", runs=(run(Phase.SUCCESSFUL),)), None, ()),
        (at(State.PROMOTING), None, (Do.STOP_MEASURING, Do.PROMOTE)),
        (at(State.PROMOTING, watch=timedelta(60)), None, (Do.STOP_MEASURING, Do.WATCH)),
        (at(State.PROMOTING, written=True), Event.ARRIVED, ()),
        (
            at(State.PROMOTING, written=True, watch=timedelta(minutes=1)),
            Event.ARRIVED,
            (Do.MEASURE,),
        ),
        (at(State.PROMOTED, watch_until=NOW + timedelta(seconds=1)), None, ()),
        (
            at(
                State.PROMOTED,
                watch_until=NOW + timedelta(seconds=1),
                runs=(run(Phase.SUCCESSFUL),),
            ),
            None,
            (Do.MEASURE,),
        ),
        (at(State.PROMOTED, watch_until=NOW), Event.ELAPSED, (Do.STOP_MEASURING, Do.PROMOTE)),
        (at(State.PROMOTED, runs=(run(Phase.FAILED),)), Event.MEASURED_BAD, "back"),
        (at(State.PROMOTED, written=True), None, (Do.FINISH,)),
        (at(State.PROMOTED, written=True, arrival=ON_ITS_WAY), None, ()),
        (at(State.ROLLING_BACK, arrival=ON_ITS_WAY, **LATE), None, ()),
        (at(State.ROLLING_BACK), Event.RETURNED, (Do.RESTORE,)),
        (at(State.ROLLING_BACK, ending=State.ABORTED), Event.RETURNED_ABORTED, (Do.RESTORE,)),
        (at(State.ROLLING_BACK, ending=State.FAILED), Event.RETURNED_FAILED, (Do.RESTORE,)),
        (at(State.INCONCLUSIVE, runs=(run(Phase.ERROR),)), None, ()),
    ],
)
def test_a_look_decides(snapshot: Snapshot, event: Event | None, actions: Any) -> None:
    decision = decide(snapshot)
    assert decision.event is event
    back = (Do.STOP_MEASURING, Do.TAKE_BACK)
    assert decision.actions == (back if actions == "back" else actions)


RAMP = Strategy(Kind.PROGRESSIVE, (Ramp(first=100, most=5_000),))


@pytest.mark.parametrize(
    ("share", "phase", "event", "actions"),
    [
        (Share(100), Phase.RUNNING, None, ()),
        (Share(100, 200, "twice"), Phase.RUNNING, None, (Do.NEXT_SHARE,)),
        (Share(100, 110, "little"), Phase.RUNNING, None, ()),
        (Share(1000, 300, "it may fail"), Phase.RUNNING, None, (Do.NEXT_SHARE,)),
        (Share(2500), Phase.SUCCESSFUL, None, ()),
        (Share(5000, 5000, ""), Phase.RUNNING, None, ()),
        (Share(5000, 5000, ""), Phase.SUCCESSFUL, Event.MEASURED_GOOD, ()),
        (Share(100, 200, "twice"), Phase.FAILED, Event.MEASURED_BAD, "back"),
    ],
)
def test_the_evidence_chooses_the_share(
    share: Share, phase: Phase, event: Event | None, actions: Any
) -> None:
    decision = decide(at(State.ANALYSING, strategy=RAMP, share=share, runs=(run(phase),)))
    assert decision.event is event
    back = (Do.STOP_MEASURING, Do.TAKE_BACK)
    assert decision.actions == (back if actions == "back" else actions)
    assert decision.share == (share.allowed if Do.NEXT_SHARE in decision.actions else None)


def test_a_share_that_no_server_takes_ends_it() -> None:
    more = {"strategy": RAMP, "share": Share(200), "runs": (run(Phase.RUNNING),)}
    assert decide(at(State.ANALYSING, arrival=ON_ITS_WAY, **SOON, **more)).event is None
    assert decide(at(State.ANALYSING, arrival=ON_ITS_WAY, **LATE, **more)).event is Event.DEADLINE
    # What has arrived is late for nothing.
    assert decide(at(State.ANALYSING, **LATE, **more)).event is None


WITH_TRAFFIC = sorted(
    set(State) - FINAL - {State.PENDING, State.PREPARING, State.ROLLING_BACK} | {State.PROMOTED}
)


@pytest.mark.parametrize("state", WITH_TRAFFIC)
def test_a_spent_budget_takes_it_back_wherever_it_stands(state: State) -> None:
    decision = decide(at(state, harm=Harm(granted=20, failed=20, left=0)))
    assert decision.event is Event.BUDGET_SPENT
    assert Do.TAKE_BACK in decision.actions
    assert "20 of 20" in decision.reason


def test_a_budget_that_a_restart_took_is_no_failure() -> None:
    lost = Harm(granted=20, failed=3, left=0)
    assert decide(at(State.ANALYSING, harm=lost)).event is Event.BUDGET_LOST
    assert decide(at(State.INCONCLUSIVE, harm=lost)).event is None
    # Who promotes it then has no use for a watch that would send it nothing.
    promoting = decide(at(State.PROMOTING, harm=lost, watch=timedelta(minutes=1)))
    assert Do.PROMOTE in promoting.actions


arrivals = st.sampled_from([HERE, ON_ITS_WAY, REFUSED])
phases = st.sampled_from(Phase)
moments = st.none() | st.sampled_from([NOW - timedelta(seconds=9), NOW + timedelta(seconds=9)])


@given(
    state=st.sampled_from(
        [s for s in State if s not in (State.ROLLED_BACK, State.ABORTED, State.FAILED)]
    ),
    step=st.integers(0, 5),
    arrival=arrivals,
    phase=st.none() | phases,
    written=st.booleans(),
    second=st.booleans(),
    until=moments,
    deadline=moments,
    spent=st.integers(0, 20),
    left=st.none() | st.integers(0, 20),
    ending=st.sampled_from([State.ROLLED_BACK, State.ABORTED, State.FAILED]),
)
def test_whatever_it_looks_at_it_decides_what_the_table_allows(
    state: State, step: int, phase: Phase | None, spent: int, left: int | None, **more: Any
) -> None:
    snapshot = at(
        state,
        step=step,
        arrival=more["arrival"],
        runs=(run(phase),) if phase else (),
        written=more["written"],
        second_person=more["second"],
        watch_until=more["until"],
        pause_until=more["until"],
        deadline_at=more["deadline"],
        harm=Harm(20, spent, left),
        ending=more["ending"],
    )
    decision = decide(snapshot)
    if decision.event is not None:
        after(state, decision.event)
    if Do.TAKE_BACK in decision.actions:
        assert decision.event is not None
        assert after(state, decision.event) is State.ROLLING_BACK
        assert decision.ending is not None

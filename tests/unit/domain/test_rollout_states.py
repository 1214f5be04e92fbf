"""Every state with every event: where it leads, and that nothing else does."""

from __future__ import annotations

import pytest

from control_plane.domain.rollout.states import (
    FINAL,
    TABLE,
    Event,
    IllegalTransitionError,
    State,
    after,
)

# One line per state: event -> where it leads. What is not here is refused.
EXPECTED = {
    "pending": "begin>preparing ask>awaitingApproval abort>aborted overtaken>aborted "
    "deadline>failed refused>failed",
    "preparing": "arrived>progressing budgetSpent>rollingBack abort>rollingBack "
    "overtaken>aborted deadline>rollingBack refused>rollingBack",
    "progressing": "arrived>progressing wait>paused analyse>analysing "
    "needApproval>awaitingApproval stepsDone>promoting pause>paused skip>progressing "
    "promote>promoting measuredBad>rollingBack budgetLost>inconclusive "
    "notMeasured>inconclusive undecided>inconclusive budgetSpent>rollingBack "
    "abort>rollingBack overtaken>aborted deadline>rollingBack refused>rollingBack",
    "paused": "elapsed>progressing resume>progressing pause>paused skip>progressing "
    "promote>promoting measuredBad>rollingBack budgetLost>inconclusive "
    "notMeasured>inconclusive undecided>inconclusive budgetSpent>rollingBack "
    "abort>rollingBack overtaken>aborted",
    "analysing": "needApproval>awaitingApproval "
    "measuredGood>progressing pause>paused skip>progressing promote>promoting "
    "measuredBad>rollingBack budgetLost>inconclusive notMeasured>inconclusive "
    "undecided>inconclusive budgetSpent>rollingBack abort>rollingBack overtaken>aborted "
    "deadline>rollingBack refused>rollingBack",
    "awaitingApproval": "admit>pending approve>progressing skip>progressing promote>promoting "
    "measuredBad>rollingBack budgetLost>inconclusive notMeasured>inconclusive "
    "undecided>inconclusive budgetSpent>rollingBack abort>rollingBack overtaken>aborted",
    "inconclusive": "retry>progressing resume>progressing skip>progressing promote>promoting "
    "measuredBad>rollingBack budgetLost>inconclusive budgetSpent>rollingBack "
    "abort>rollingBack overtaken>aborted",
    "promoting": "needApproval>awaitingApproval "
    "arrived>promoted budgetSpent>rollingBack abort>rollingBack "
    "overtaken>aborted deadline>rollingBack refused>rollingBack",
    "promoted": "needApproval>awaitingApproval "
    "promote>promoted elapsed>promoted abort>rollingBack overtaken>aborted "
    "measuredBad>rollingBack budgetSpent>rollingBack budgetLost>inconclusive",
    "rollingBack": "abort>rollingBack overtaken>aborted returned>rolledBack "
    "returnedAborted>aborted returnedFailed>failed",
    "rolledBack": "retry>pending",
    "aborted": "retry>pending",
    "failed": "retry>pending",
}


def led_to(state: State) -> dict[str, str]:
    return dict(pair.split(">") for pair in EXPECTED[state].split())  # type: ignore[misc]


@pytest.mark.parametrize("state", State)
def test_every_event_leads_where_it_should_or_raises(state: State) -> None:
    expected = led_to(state)
    for event in Event:
        if event in expected:
            assert after(state, event) == expected[event]
        else:
            with pytest.raises(IllegalTransitionError, match=f"a rollout that is {state} cannot"):
                after(state, event)


def test_every_state_is_reached_and_every_event_happens() -> None:
    assert {event for _, event in TABLE} == set(Event)
    assert set(TABLE.values()) | {State.PENDING} == set(State)


@pytest.mark.parametrize("state", sorted(set(State) - FINAL))
def test_what_is_under_way_can_always_be_ended(state: State) -> None:
    assert after(state, Event.ABORT) in (State.ROLLING_BACK, State.ABORTED)
    assert after(state, Event.OVERTAKEN) is State.ABORTED

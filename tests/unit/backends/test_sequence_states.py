"""Keeping the states of sequences: pure, with a clock of the test's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.python_based import imported

sequence_states = imported("sequence_states")
RequestError = imported("request_batch").RequestError
Turn = sequence_states.Turn


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def states(clock: Clock) -> Any:
    return sequence_states.SequenceStates((("in", "out"),), slots=2, idle_s=5.0, clock=clock)


def step(
    states: Any,
    sequence: int | str,
    *,
    start: bool = False,
    end: bool = False,
    fails: bool = False,
) -> float:
    """One request: the state that the model found, to which it added one."""
    turn = Turn(sequence, start, end)
    # What Triton sends each time: the first value.
    inputs = states.enter(turn, {"x": 5, "in": np.zeros(1)})
    found = float(inputs["in"][0])
    answer = RequestError("no") if fails else {"y": 1, "out": inputs["in"] + 1}
    left = states.leave(turn, answer)
    assert isinstance(left, RequestError) if fails else left == {"y": 1}
    return found


def test_each_sequence_finds_what_it_left(states: Any) -> None:
    assert [step(states, 1, start=True), step(states, "a", start=True)] == [0, 0]
    assert [step(states, 1), step(states, 1), step(states, "a")] == [1, 2, 1]


def test_a_first_request_begins_anew(states: Any) -> None:
    step(states, 1, start=True)
    step(states, 1)
    assert step(states, 1, start=True) == 0


def test_a_request_that_failed_changes_nothing(states: Any) -> None:
    step(states, 1, start=True)
    assert step(states, 1, fails=True) == 1
    assert step(states, 1) == 1


def test_a_first_request_that_failed_leaves_the_first_state(states: Any) -> None:
    step(states, 1, start=True, fails=True)
    assert step(states, 1) == 0


@pytest.mark.parametrize("fails", [False, True])
def test_an_ended_sequence_is_forgotten(states: Any, fails: bool) -> None:
    step(states, 1, start=True)
    step(states, 1, end=True, fails=fails)
    assert len(states) == 0
    with pytest.raises(RequestError, match="sequence 1 is not here"):
        step(states, 1)


def test_a_sequence_of_one_request_is_not_kept(states: Any) -> None:
    assert step(states, 1, start=True, end=True) == 0
    assert len(states) == 0


def test_what_the_batcher_gave_up_makes_room(states: Any) -> None:
    for sequence in range(1, 10):
        step(states, sequence, start=True)
    assert len(states) == 4  # twice the batcher's places
    assert step(states, 9) == 1
    with pytest.raises(RequestError):
        step(states, 5)


def test_one_that_is_used_is_not_the_one_to_make_room(states: Any) -> None:
    for sequence in range(1, 5):
        step(states, sequence, start=True)
    step(states, 1)
    step(states, 5, start=True)
    assert step(states, 1) == 2


def test_one_that_was_idle_for_long_is_forgotten(states: Any, clock: Clock) -> None:
    step(states, 1, start=True)
    clock.now = 15.0
    step(states, 2, start=True)
    clock.now = 20.0  # twice the idle time and ten seconds
    assert step(states, 1) == 1
    clock.now = 41.0
    step(states, 3, start=True)
    assert len(states) == 1


def test_a_warm_up_belongs_to_no_sequence(states: Any) -> None:
    step(states, 0)
    step(states, "")
    assert len(states) == 0


def test_a_tensor_that_is_used_again_by_its_owner_does_no_harm(states: Any) -> None:
    first = np.zeros(1)
    states.enter(Turn(1, True, False), {"in": first})
    first += 100
    turn = Turn(1, False, False)
    found = states.enter(turn, {})["in"]
    assert found[0] == 0
    found += 100  # a program that writes into its input, and fails
    states.leave(turn, RequestError("no"))
    assert states.enter(turn, {})["in"][0] == 0


def test_the_places_are_those_of_the_configuration() -> None:
    state = {"input_name": "in", "output_name": "out", "data_type": "TYPE_FP32"}
    kept = sequence_states.states_of(
        {"sequence_batching": {"state": [state], "oldest": {"max_candidate_sequences": 3}}}
    )
    for sequence in range(1, 20):
        step(kept, sequence, start=True)
    assert len(kept) == 6
    assert sequence_states.states_of({"sequence_batching": {"direct": {}}}) is None
    assert sequence_states.states_of({}) is None

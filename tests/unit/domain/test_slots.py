"""The laws of the slot table."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.routing.policy import SLOTS, Arm, RoutingPolicy
from control_plane.domain.routing.slots import Key, next_table, runs, table_of
from tests.support.policies import splits


def policy(weights: list[int], primary: int = 0) -> RoutingPolicy:
    arms = [Arm(f"arm-{i}", "m", i, weight, i == primary) for i, weight in enumerate(weights)]
    return RoutingPolicy(tuple(arms))


def moved(before: tuple[Key, ...], after: tuple[Key, ...]) -> int:
    return sum(1 for old, new in zip(before, after, strict=True) if old != new)


@st.composite
def histories(draw: st.DrawFn) -> list[RoutingPolicy]:
    """A few policies, one after the other, with arms that come and go and change places."""
    steps = []
    for _ in range(draw(st.integers(1, 4))):
        versions = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4, unique=True))
        weights = draw(splits(len(versions)))
        primary = draw(st.sampled_from(versions))
        arms = [
            Arm(f"arm-{v}", "m", v, w, v == primary) for v, w in zip(versions, weights, strict=True)
        ]
        steps.append(RoutingPolicy(tuple(arms)))
    return steps


@given(histories())
def test_the_table_has_the_weights_exactly_and_moves_no_more_than_it_must(
    steps: list[RoutingPolicy],
) -> None:
    table: tuple[Key, ...] = ()
    for step in steps:
        weights = {(arm.model, arm.version): arm.weight for arm in step.arms}
        after = next_table(step, table)
        assert Counter(after) == Counter({key: n for key, n in weights.items() if n})
        if table:
            held = Counter(table)
            decreases = sum(max(0, n - weights.get(key, 0)) for key, n in held.items())
            assert moved(table, after) == decreases
        table = after


@given(st.integers(0, SLOTS), st.integers(0, SLOTS))
def test_raising_the_candidate_moves_nobody_out_of_it(one: int, other: int) -> None:
    low, high = sorted((one, other))
    before = next_table(policy([SLOTS - low, low]))
    after = next_table(policy([SLOTS - high, high]), before)
    for slot, key in enumerate(before):
        if key == ("m", 1):
            assert after[slot] == key


@given(splits(3), st.integers(0, SLOTS), st.integers(0, 2))
def test_up_and_down_again_is_the_same_table(weights: list[int], raised: int, primary: int) -> None:
    candidate = (primary + 1) % 3
    before = next_table(policy(weights, primary))
    raised = min(raised, weights[primary])
    up = list(weights)
    up[primary] -= raised
    up[candidate] += raised
    between = next_table(policy(up, primary), before)
    assert next_table(policy(weights, primary), between) == before


def test_the_primary_gives_its_highest_slots_and_others_their_lowest() -> None:
    table = next_table(policy([5000, 5000]))
    up = next_table(policy([4000, 6000]), table)
    assert runs(up, policy([4000, 6000])) == ((0, 4000), (1, 6000))
    down = next_table(policy([8000, 2000]), table)
    assert runs(down, policy([8000, 2000])) == ((0, 8000), (1, 2000))


def test_arms_are_known_by_their_version_whatever_they_are_called() -> None:
    before = next_table(policy([9000, 1000]))
    renamed = RoutingPolicy(
        (Arm("new", "m", 1, 1000, primary=False), Arm("old", "m", 0, 9000, primary=True))
    )
    assert next_table(renamed, before) == before


@given(splits(4))
def test_runs_and_table_say_the_same(weights: list[int]) -> None:
    one = policy(weights)
    table = next_table(one)
    found = runs(table, one)
    assert all(count for _, count in found)
    assert table_of(found, [(arm.model, arm.version) for arm in one.arms]) == table


def test_weights_that_do_not_fill_the_slots_are_refused() -> None:
    with pytest.raises(ValueError, match="slots"):
        next_table(policy([9000, 999]))

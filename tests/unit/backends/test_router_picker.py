"""The native router's choice of an arm: exact over every cycle, even within one."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.models import policy_text
from tests.support.routing import NativeRouter

SLOTS = 10_000


def router_of(runs: list[tuple[int, int]], *, seed: int = 0) -> NativeRouter:
    """A router over a slot table written as (arm, slots) runs."""
    arms = {f"m.v{index}.abcdef": 0 for index in range(max(arm for arm, _ in runs) + 1)}
    text = policy_text("m", arms).rpartition("slots")[0]
    table = " ".join(f"{arm}:{count}" for arm, count in runs)
    return NativeRouter(f"{text}slots {table}\n", seed=seed)


@st.composite
def slot_tables(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Any table: runs of any arms in any order that fill the slots."""
    cuts = sorted(draw(st.sets(st.integers(1, SLOTS - 1), max_size=30)))
    edges = [0, *cuts, SLOTS]
    return [(draw(st.integers(0, 9)), end - begin) for begin, end in pairwise(edges)]


@settings(max_examples=60, deadline=None)
@given(slot_tables(), st.integers(0, 2**64 - 1))
def test_every_cycle_gives_each_arm_exactly_its_slots(
    table: list[tuple[int, int]], seed: int
) -> None:
    expected = Counter()
    for arm, count in table:
        expected[arm] += count
    router = router_of(table, seed=seed)
    for _ in range(5):
        assert Counter(router.pick(SLOTS)) == expected


@pytest.mark.parametrize("share", [100, 1000, 2500, 5000])
@pytest.mark.parametrize("seed", [0, 1234, 2**64 - 1])
def test_a_share_is_spread_within_the_cycle(share: int, seed: int) -> None:
    picks = router_of([(0, SLOTS - share), (1, share)], seed=seed).pick(4 * SLOTS)
    for window in (500, 1000, 2500):
        for begin in range(0, len(picks) - window, 97):
            seen = picks[begin : begin + window].count(1)
            # Shuffled as a whole, half of 2500 would be off by 25 as often as not.
            assert abs(seen - window * share / SLOTS) <= 6, (window, begin)


def test_callers_that_take_turns_get_the_same_split() -> None:
    picks = router_of([(0, 1) if slot % 2 else (1, 1) for slot in range(SLOTS)]).pick(40 * SLOTS)
    for callers in (2, 5, 10):
        for caller in range(callers):
            mine = picks[caller::callers]
            assert abs(mine.count(1) / len(mine) - 0.5) < 0.01

"""Laws that must hold whatever the threads do, held against many at once."""

from __future__ import annotations

import ctypes

import pytest

from tests.support.models import policy_text
from tests.support.routing import BreakerState, NativeRouter
from tests.support.routing_parts import parts

THREADS = 8
SLOTS = 10_000
OLD, NEW = "m.v1.abcdef", "m.v2.abcdef"


@pytest.mark.parametrize("attempts", [0, 1, 1_000, 30_000])
def test_an_allowance_is_never_exceeded(attempts: int) -> None:
    kept = parts().nereid_stress_allowance(attempts, THREADS, 10_000)
    assert kept == attempts


@pytest.mark.parametrize(("failures", "failing"), [(1, 1), (7, 3), (500, 10)])
def test_no_failure_is_one_too_many_while_a_grant_moves(failures: int, failing: int) -> None:
    left, most = ctypes.c_int64(), ctypes.c_int64()
    failed = parts().nereid_stress_failures(
        failures, THREADS, 10_000, failing, ctypes.byref(left), ctypes.byref(most)
    )
    assert (failed, left.value) == (failures, 0)
    assert 1 <= most.value <= failures


@pytest.mark.parametrize(
    ("budget", "floor", "in_flight", "most"), [(2_000, 3, 10, 3), (2_000, 0, 25, 5), (0, 1, 9, 1)]
)
def test_a_rescue_budget_is_never_exceeded(
    budget: int, floor: int, in_flight: int, most: int
) -> None:
    seen = parts().nereid_stress_budget(budget, floor, in_flight, THREADS, 5_000)
    assert 1 <= seen <= most


def test_a_half_open_breaker_has_one_probe_at_most() -> None:
    opened, closed = ctypes.c_uint64(), ctypes.c_uint64()
    most = parts().nereid_stress_breaker(THREADS, 50, ctypes.byref(opened), ctypes.byref(closed))
    assert most == 1
    assert opened.value >= closed.value >= 50


def test_sequences_are_never_confused() -> None:
    assert parts().nereid_stress_pins(THREADS, 3_000) == 0


def test_the_split_is_exact_from_many_threads_too() -> None:
    router = NativeRouter(policy_text("m", {OLD: 7_301, NEW: 2_699}), seed=5)
    taken, _, rejected = router.stress(threads=THREADS, tries=3 * SLOTS // THREADS)
    assert rejected == 0
    assert taken == [3 * 7_301, 3 * 2_699]
    assert [router.state(arm).in_flight for arm in range(2)] == [0, 0]


def test_no_arm_has_more_in_flight_than_its_limit() -> None:
    text = policy_text("m", {OLD: 5_000, NEW: 5_000})
    text = text.replace(f"{OLD} primary", f"{OLD} primary max_in_flight 3")
    text = text.replace(f"{NEW}\n", f"{NEW} max_in_flight 2\n")
    router = NativeRouter(text)
    taken, most, rejected = router.stress(threads=THREADS, tries=20_000)
    assert sum(taken) + rejected == THREADS * 20_000
    assert most[0] <= 3
    assert most[1] <= 2
    assert [router.state(arm).in_flight for arm in range(2)] == [0, 0]


def test_the_last_attempt_goes_to_one_thread_alone() -> None:
    """Over and over: two threads must both be past the gate when one takes what is left."""
    text = policy_text("m", {OLD: 0, NEW: 10_000}).replace(
        "slots", "allowance 1 grant g attempts 60 failures - until_ms -\nslots"
    )
    for _ in range(300):
        router = NativeRouter(text)
        taken, _, rejected = router.stress(threads=4, tries=40)
        assert (taken, rejected) == ([100, 60], 0)
        assert [router.state(arm).in_flight for arm in range(2)] == [0, 0]


def test_a_failing_arm_is_left_alone_and_its_allowance_kept() -> None:
    text = policy_text("m", {OLD: 5_000, NEW: 5_000}).replace(
        "slots", "allowance 1 grant g attempts 5000 failures 4000 until_ms -\nslots"
    )
    text += (
        "sticky header x-user-id salt m\n"
        "breaker consecutive 5 rate 5000 min_requests 20 window_us 10000 open_us 1000 "
        "max_open_us 8000\nslow_start window_us 2000 aggression 1\n"
    )
    router = NativeRouter(text)
    taken, _, rejected = router.stress(threads=THREADS, tries=10_000, failing=1)
    assert rejected == 0
    assert sum(taken) == THREADS * 10_000
    assert 5 <= taken[1] <= 4_000
    state = router.state(1)
    assert state.attempts_left == 5_000 - taken[1]
    assert state.breaker != BreakerState.CLOSED
    assert state.in_flight == 0


def test_adaptive_from_many_threads_gives_everything_back() -> None:
    arms = {f"m.v{i}.abcdef": 2_500 for i in range(4)}
    text = policy_text("m", arms) + "objective alpha 1 beta 0 gamma 1 delta 0 explore 500\n"
    router = NativeRouter(text)
    taken, _, _ = router.stress(threads=THREADS, tries=10_000)
    assert sum(taken) == THREADS * 10_000
    assert min(taken) >= THREADS * 10_000 * 0.05 / 4 * 0.9
    assert [router.state(arm).in_flight for arm in range(4)] == [0] * 4

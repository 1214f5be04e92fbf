"""The breaker's timeline: when it opens, for how long, and how it closes again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.models import policy_text
from tests.support.routing import (
    BreakerState,
    Diverted,
    Judgement,
    NativeEndpoint,
    NativeRouter,
)
from tests.support.routing_parts import Breaker

SECOND = 1_000_000_000
CLOSED, OPEN, HALF_OPEN = BreakerState


def probe_through(breaker: Breaker, now_ns: int, *, failed: bool = False) -> tuple[bool, bool]:
    assert breaker.ask(now_ns) == (True, True)
    return breaker.record(now_ns, failed=failed, probe=True)


def close_again(breaker: Breaker, now_ns: int) -> None:
    for _ in range(3):
        assert breaker.state is not CLOSED
        verdict = probe_through(breaker, now_ns)
    assert verdict == (False, True)
    assert breaker.state is CLOSED


def test_consecutive_failures_open_it_and_a_success_starts_over() -> None:
    breaker = Breaker(consecutive=3)
    for failed in (True, True, False, True, True):
        assert breaker.record(SECOND, failed=failed) == (False, False)
    assert breaker.ask(SECOND) == (True, False)
    assert breaker.record(SECOND, failed=True) == (True, False)
    assert breaker.state is OPEN
    assert breaker.ask(SECOND) == (False, False)


def test_the_rate_counts_from_min_requests_on() -> None:
    breaker = Breaker(rate_parts=5_000, min_requests=20)
    for i in range(19):
        assert breaker.record(SECOND, failed=i % 2 == 0) == (False, False)
    assert breaker.record(SECOND, failed=False) == (True, False)  # 10 of 20
    below = Breaker(rate_parts=5_000, min_requests=20)
    for i in range(100):  # 49 of 100, never half of 20 or more
        assert below.record(SECOND, failed=i % 2 == 1 and i != 1) == (False, False)


def test_the_window_slides() -> None:
    breaker = Breaker(rate_parts=5_000, min_requests=4, window_ns=10 * SECOND)
    start = 1_000 * SECOND
    for _ in range(3):
        assert breaker.record(start, failed=True) == (False, False)
    # 9 s later the three are in the window still, 10 s later they are not.
    assert Breaker.record(breaker, start + 10 * SECOND, failed=True) == (False, False)
    assert breaker.record(start + 10 * SECOND, failed=True) == (False, False)
    assert breaker.record(start + 19 * SECOND, failed=True) == (False, False)
    assert breaker.record(start + 19 * SECOND, failed=True) == (True, False)


def test_a_slow_success_is_a_failure() -> None:
    breaker = Breaker(consecutive=2, latency_ns=1_000)
    assert breaker.record(SECOND, failed=False, latency_ns=1_001) == (False, False)
    assert breaker.record(SECOND, failed=False, latency_ns=1_000) == (False, False)
    assert breaker.record(SECOND, failed=False, latency_ns=1_001) == (False, False)
    assert breaker.record(SECOND, failed=False, latency_ns=1_001) == (True, False)


def test_both_tests_can_be_off() -> None:
    breaker = Breaker()
    for _ in range(1_000):
        assert breaker.record(SECOND, failed=True) == (False, False)
    assert breaker.state is CLOSED


def test_half_open_lets_one_probe_at_a_time_through() -> None:
    breaker = Breaker(consecutive=1, open_ns=30 * SECOND)
    breaker.record(SECOND, failed=True)
    assert not breaker.would_allow(31 * SECOND - 1)
    assert breaker.ask(31 * SECOND - 1) == (False, False)
    assert breaker.would_allow(31 * SECOND)
    assert breaker.ask(31 * SECOND) == (True, True)
    assert breaker.state is HALF_OPEN
    assert not breaker.would_allow(31 * SECOND)
    assert breaker.ask(31 * SECOND) == (False, False)
    breaker.give_back()  # cancelled: it says nothing, and another may go
    assert breaker.ask(32 * SECOND) == (True, True)
    # What began before the ejection says nothing either.
    assert breaker.record(32 * SECOND, failed=True) == (False, False)
    assert breaker.record(32 * SECOND, failed=False, probe=True) == (False, False)
    assert probe_through(breaker, 32 * SECOND) == (False, False)
    assert breaker.state is HALF_OPEN
    assert probe_through(breaker, 32 * SECOND) == (False, True)
    assert breaker.ask(32 * SECOND) == (True, False)


def test_a_bad_probe_opens_it_again_whatever_went_before() -> None:
    breaker = Breaker(consecutive=1, open_ns=10 * SECOND)
    breaker.record(0, failed=True)
    assert probe_through(breaker, 10 * SECOND) == (False, False)
    assert probe_through(breaker, 10 * SECOND) == (False, False)
    assert probe_through(breaker, 10 * SECOND, failed=True) == (True, False)
    assert not breaker.would_allow(30 * SECOND - 1)  # 2 x 10 s
    assert probe_through(breaker, 30 * SECOND) == (False, False)
    assert probe_through(breaker, 30 * SECOND) == (False, False)
    assert breaker.state is HALF_OPEN  # three in a row, counted anew


def test_each_ejection_lasts_longer_up_to_the_cap() -> None:
    breaker = Breaker(consecutive=1, open_ns=30 * SECOND, max_open_ns=100 * SECOND)
    now = SECOND
    breaker.record(now, failed=True)
    for seconds in (30, 60, 90, 100, 100):
        assert not breaker.would_allow(now + seconds * SECOND - 1)
        now += seconds * SECOND
        assert probe_through(breaker, now, failed=True) == (True, False)


@pytest.mark.parametrize(
    ("closed_for", "next_open"),
    [(0, 90), (29, 90), (30, 60), (59, 60), (60, 30), (10_000, 30)],
)
def test_every_open_period_spent_closed_is_one_ejection_forgiven(
    closed_for: int, next_open: int
) -> None:
    breaker = Breaker(consecutive=1, open_ns=30 * SECOND)
    breaker.record(0, failed=True)
    probe_through(breaker, 30 * SECOND, failed=True)
    close_again(breaker, 90 * SECOND)
    opened = (90 + closed_for) * SECOND
    assert breaker.record(opened, failed=True) == (True, False)
    assert not breaker.would_allow(opened + next_open * SECOND - 1)
    assert breaker.would_allow(opened + next_open * SECOND)


def test_what_was_counted_before_an_ejection_is_forgotten() -> None:
    breaker = Breaker(consecutive=3, rate_parts=5_000, min_requests=3, open_ns=SECOND)
    for _ in range(3):
        breaker.record(0, failed=True)
    close_again(breaker, SECOND)
    assert breaker.record(SECOND, failed=True) == (False, False)
    assert breaker.record(SECOND, failed=True) == (False, False)
    assert breaker.record(SECOND, failed=True) == (True, False)


@given(st.lists(st.tuples(st.integers(0, 3_000), st.booleans()), max_size=200))
def test_the_rate_is_that_of_the_last_ten_buckets(steps: list[tuple[int, bool]]) -> None:
    """Against a plain list of what happened: window 10 s, so buckets of 1 s."""
    breaker = Breaker(rate_parts=6_000, min_requests=8, open_ns=SECOND)
    now_ms, happened = 0, []
    for wait, failed in steps:
        now_ms += wait
        happened.append((now_ms // 1_000, failed))
        recent = [bad for bucket, bad in happened if bucket > now_ms // 1_000 - 10]
        opens = len(recent) >= 8 and sum(recent) * 10 >= 6 * len(recent)
        assert breaker.record(now_ms * 1_000_000, failed=failed) == (opens, False)
        if opens:
            return


BREAKER = "breaker consecutive 2 rate 0 min_requests 0 window_us 10000000 open_us 1000000 "
TEXT = policy_text("m", {"m.v1.abcdef": 0, "m.v2.abcdef": 10_000})


def test_an_ejected_arms_requests_go_to_the_primary_and_probes_bring_it_back() -> None:
    router = NativeRouter(f"{TEXT}{BREAKER}max_open_us 9000000\n")
    for expected in (False, True):
        decision = router.decide(now_ns=SECOND)
        assert (decision.arm, decision.diverted) == (1, Diverted.NO)
        assert router.end(decision, Judgement.BAD, now_ns=SECOND) is expected
    diverted = router.decide(now_ns=SECOND)
    assert (diverted.arm, diverted.chosen, diverted.diverted) == (0, 1, Diverted.BREAKER)
    router.end(diverted, now_ns=SECOND)
    probe = router.decide(now_ns=2 * SECOND)
    assert (probe.arm, probe.probe) == (1, True)
    assert router.decide(now_ns=2 * SECOND).diverted is Diverted.BREAKER
    router.end(probe, Judgement.NOTHING, now_ns=2 * SECOND)
    for _ in range(3):
        assert router.state(1).breaker == HALF_OPEN
        router.end(router.decide(now_ns=2 * SECOND), now_ns=2 * SECOND)
    assert router.state(1).breaker == CLOSED
    assert not router.decide(now_ns=2 * SECOND).probe


def test_the_primary_is_never_ejected() -> None:
    router = NativeRouter(
        policy_text("m", {"m.v1.abcdef": 10_000}) + f"{BREAKER}max_open_us 9000000\n"
    )
    for _ in range(20):
        decision = router.decide(now_ns=SECOND)
        assert decision.arm == 0
        assert router.end(decision, Judgement.BAD, now_ns=SECOND) is False
    assert router.state(0).breaker == CLOSED


def test_the_callers_mistakes_say_nothing() -> None:
    router = NativeRouter(f"{TEXT}{BREAKER}max_open_us 9000000\n")
    for judgement in (Judgement.BAD, *[Judgement.NOTHING] * 20):
        router.end(router.decide(now_ns=SECOND), judgement, now_ns=SECOND)
    assert router.state(1).breaker == CLOSED
    router.end(router.decide(now_ns=SECOND), Judgement.BAD, now_ns=SECOND)
    assert router.state(1).breaker == OPEN


@pytest.mark.parametrize("without", ["no breaker", "as the primary"])
def test_a_policy_that_never_asks_the_breaker_closes_it(without: str) -> None:
    """It would else look ejected for ever, and be so once it is asked again."""
    endpoint = NativeEndpoint()
    text = f"{TEXT}{BREAKER}max_open_us 9000000\n"
    router = NativeRouter(text, endpoint=endpoint)
    for _ in range(2):
        router.end(router.decide(now_ns=SECOND), Judgement.BAD, now_ns=SECOND)
    assert NativeRouter(text, endpoint=endpoint).state(1).breaker == OPEN  # a reload keeps it
    if without == "as the primary":
        other = text.replace(" primary", "").replace("arm m.v2.abcdef", "arm m.v2.abcdef primary")
    else:
        other = TEXT
    assert NativeRouter(other, endpoint=endpoint).state(1).breaker == CLOSED

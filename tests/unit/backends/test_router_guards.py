"""Slow start, allowances, limits and the rescue budget."""

from __future__ import annotations

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from tests.support.models import policy_text
from tests.support.routing import Diverted, Judgement, NativeEndpoint, NativeRouter
from tests.support.routing_parts import ArmAllowance, RescueBudget, parts

SECOND = 1_000_000_000
OLD, NEW = "m.v1.abcdef", "m.v2.abcdef"
RAMP = "slow_start window_us 10000000 aggression 1\n"


def text(old: int, new: int, rest: str = "") -> str:
    return policy_text("m", {OLD: old, NEW: new}) + rest


@pytest.mark.parametrize(
    ("aggression", "elapsed", "share"),
    [
        (1.0, 0, 0.10),
        (1.0, 9, 0.10),
        (1.0, 25, 0.25),
        (1.0, 99, 0.99),
        (1.0, 100, 1.0),
        (1.0, 10_000, 1.0),
        (2.0, 25, 0.5),
        (2.0, 1, 0.10),
        (0.5, 50, 0.25),
    ],
)
def test_the_ramp_follows_envoys_formula(aggression: float, elapsed: int, share: float) -> None:
    assert parts().nereid_ramp_share(100, aggression, elapsed) == pytest.approx(share)


def ramping(rest: str = RAMP) -> NativeRouter:
    """A router whose second arm has just been given everything, at second 100."""
    endpoint = NativeEndpoint()
    NativeRouter(text(10_000, 0), endpoint=endpoint, now_ns=1)
    return NativeRouter(text(0, 10_000, rest), endpoint=endpoint, now_ns=100 * SECOND)


@pytest.mark.parametrize(("seconds", "share"), [(0, 0.1), (1, 0.1), (3, 0.3), (7, 0.7), (10, 1.0)])
def test_a_new_arm_gets_its_share_by_and_by(seconds: int, share: float) -> None:
    arms = ramping().run(1_000, now_ns=(100 + seconds) * SECOND)
    assert arms.count(1) == pytest.approx(1_000 * share, abs=2)
    assert arms[:50].count(1) == pytest.approx(50 * share, abs=2)


def test_the_first_router_ever_and_an_arm_that_had_requests_do_not_ramp() -> None:
    endpoint = NativeEndpoint()
    first = NativeRouter(text(5_000, 5_000, RAMP), endpoint=endpoint, now_ns=SECOND)
    assert first.state(1).ramp_from_ns == 0
    more = NativeRouter(text(0, 10_000, RAMP), endpoint=endpoint, now_ns=2 * SECOND)
    assert more.run(100, now_ns=2 * SECOND).count(1) == 100


def test_an_arm_that_was_gone_ramps_again() -> None:
    endpoint = NativeEndpoint()
    NativeRouter(text(5_000, 5_000, RAMP), endpoint=endpoint, now_ns=SECOND)
    NativeRouter(policy_text("m", {OLD: 10_000}), endpoint=endpoint, now_ns=2 * SECOND)
    back = NativeRouter(text(5_000, 5_000, RAMP), endpoint=endpoint, now_ns=3 * SECOND)
    assert back.state(1).ramp_from_ns == 3 * SECOND
    assert back.state(0).ramp_from_ns == 0


def test_a_key_that_got_through_stays_through_and_it_is_the_second_hash() -> None:
    router = ramping(f"sticky header x-user-id salt m\n{RAMP}")
    seed = xxhash.xxh64_intdigest(b"m") ^ 0x9E3779B97F4A7C15
    users = [f"user-{i}" for i in range(400)]
    for seconds in range(11):
        share = max(0.1, seconds / 10)
        for user in users:
            place = xxhash.xxh64_intdigest(user.encode(), seed) / 2**64
            decision = router.decide({"x-user-id": user}, now_ns=(100 + seconds) * SECOND)
            assert decision.arm == (1 if place < share else 0)
            assert (decision.diverted is Diverted.SLOW_START) == (decision.arm == 0)


def test_a_rule_does_not_wait_for_the_ramp() -> None:
    router = ramping(f"rule 1 parameter tester equals true\n{RAMP}")
    for _ in range(50):
        assert router.decide({"tester": "true"}, now_ns=100 * SECOND).arm == 1


def test_a_closed_breaker_begins_a_ramp() -> None:
    breaker = (
        "breaker consecutive 1 rate 0 min_requests 0 window_us 1000000 open_us 1000000 "
        "max_open_us 1000000\n"
    )
    router = NativeRouter(text(0, 10_000, breaker + RAMP), now_ns=SECOND)
    router.end(router.decide(now_ns=SECOND), Judgement.BAD, now_ns=SECOND)
    for _ in range(3):
        router.end(router.decide(now_ns=2 * SECOND), now_ns=2 * SECOND)
    assert router.state(1).ramp_from_ns == 2 * SECOND
    assert router.run(100, now_ns=5 * SECOND).count(1) == pytest.approx(30, abs=2)


def test_an_allowance_counts_attempts_and_its_grant_goes_on() -> None:
    allowance = ArmAllowance()
    assert allowance.current is None
    grant = allowance.adopt("a", attempts=3)
    assert [grant.take() for _ in range(2)] == [True, True]
    grant = allowance.adopt("a", attempts=3)
    assert grant.left == (1, -1)
    assert [grant.take() for _ in range(3)] == [True, False, False]
    assert grant.spent()
    assert allowance.adopt("b", attempts=2).left == (2, -1)


def test_a_grant_that_was_away_goes_on_where_it_stood() -> None:
    allowance = ArmAllowance()
    grant = allowance.adopt("a", attempts=5, failures=2)
    grant.take()
    assert allowance.adopt("") is None
    grant.settle(failed=True)  # what was under way counts all the same
    assert allowance.adopt("a", attempts=5, failures=2).left == (4, 1)


def test_failures_are_reserved_before_they_can_happen() -> None:
    grant = ArmAllowance().adopt("a", failures=2)
    assert [grant.take() for _ in range(3)] == [True, True, False]
    assert (grant.gives(), grant.spent()) == (False, False)
    assert grant.left == (-1, 2)  # none has happened
    grant.settle(failed=False)
    assert grant.take()
    grant.settle(failed=True)
    assert grant.left == (-1, 1)
    assert not grant.take()
    grant.settle(failed=True)
    assert grant.left == (-1, 0)
    assert grant.spent()
    assert not grant.take()


def test_an_attempt_that_is_not_left_reserves_no_failure() -> None:
    grant = ArmAllowance().adopt("a", attempts=1, failures=1)
    assert grant.take()
    grant.settle(failed=False)
    assert not grant.take()
    grant = ArmAllowance().adopt("b", attempts=1, failures=2)
    assert [grant.take(), grant.take()] == [True, False]
    grant.settle(failed=True)
    assert grant.left == (0, 1)


def test_what_is_under_way_is_charged_to_the_grant_it_took_it_of() -> None:
    allowance = ArmAllowance()
    old = allowance.adopt("a", failures=5)
    old.take()
    new = allowance.adopt("b", failures=5)
    old.settle(failed=True)
    assert (old.left, new.left) == ((-1, 4), (-1, 5))


def test_who_is_never_refused_is_charged_and_never_below_nothing() -> None:
    """A live sequence stays on its arm: what it fails, others may not."""
    grant = ArmAllowance().adopt("a", failures=2)
    assert [grant.take_anyway() for _ in range(3)] == [True, True, False]
    grant.settle(reserved=False, failed=True)
    assert grant.left == (-1, 1)
    grant.settle(failed=False)
    assert not grant.gives()  # the other one may still fail
    grant.settle(failed=True)
    assert grant.left == (-1, 0)
    grant.settle(reserved=False, failed=True)
    assert grant.left == (-1, 0)
    fresh = ArmAllowance().adopt("b", failures=1)
    assert fresh.take_anyway()
    fresh.settle(reserved=False, failed=True)
    fresh.settle(failed=True)
    assert fresh.left == (-1, 0)
    assert not fresh.gives()


def test_a_grant_goes_on_with_another_arm() -> None:
    old, new = ArmAllowance(), ArmAllowance()
    grant = old.adopt("a", attempts=5, failures=2)
    grant.take()
    grant.take()
    grant.settle(failed=True)
    assert not new.continue_from(old, "b")
    assert new.continue_from(old, "a")
    assert new.current is None  # nothing is bounded before a policy says so
    shared = new.adopt("a", attempts=5, failures=2)
    assert shared.left == (3, 1)
    assert not shared.gives()  # the old arm's last attempt may fail
    grant.settle(failed=False)
    assert shared.gives()
    assert new.adopt("b", attempts=7).left == (7, -1)


def test_the_deadline_is_kept_on_the_steady_clock() -> None:
    allowance = ArmAllowance()
    grant = allowance.adopt("a", until_ms=5_000, unix_ms=2_000, now_ns=70 * SECOND)
    assert grant.take(73 * SECOND - 1)
    assert not grant.spent(73 * SECOND - 1)
    assert not grant.take(73 * SECOND)
    assert grant.spent(73 * SECOND)
    assert allowance.adopt("b", until_ms=1_999, unix_ms=2_000, now_ns=70 * SECOND).spent(0)
    assert not allowance.adopt("c", until_ms=10**15, unix_ms=0, now_ns=70 * SECOND).spent(10**19)


def test_a_spent_allowance_sends_the_share_to_the_primary() -> None:
    allowed = text(0, 10_000).replace(
        "slots", "allowance 1 grant g attempts 30 failures - until_ms -\nslots"
    )
    router = NativeRouter(allowed)
    assert router.run(100) == bytes([1] * 30 + [0] * 70)
    assert router.decide().diverted is Diverted.ALLOWANCE
    assert router.state(1).attempts_left == 0


def test_a_diverted_request_takes_no_attempt() -> None:
    allowed = text(0, 10_000, RAMP).replace(
        "slots", "allowance 1 grant g attempts 1000 failures 1 until_ms -\nslots"
    )
    endpoint = NativeEndpoint()
    NativeRouter(text(10_000, 0), endpoint=endpoint)
    router = NativeRouter(allowed, endpoint=endpoint, now_ns=SECOND)
    got = router.run(100, now_ns=2 * SECOND).count(1)
    assert 0 < got < 100
    assert router.state(1).attempts_left == 1_000 - got
    under_way = router.decide(now_ns=99 * SECOND)
    assert router.decide(now_ns=99 * SECOND).diverted is Diverted.ALLOWANCE  # it may fail yet
    router.end(under_way, Judgement.NOTHING, now_ns=SECOND)
    assert router.state(1).failures_left == 1
    router.end(router.decide(now_ns=99 * SECOND), Judgement.BAD, now_ns=SECOND)
    assert router.decide(now_ns=99 * SECOND).diverted is Diverted.ALLOWANCE


def test_a_probe_that_no_attempt_is_left_for_is_given_back() -> None:
    breaker = (
        "breaker consecutive 1 rate 0 min_requests 0 window_us 1000000 open_us 1000000 "
        "max_open_us 1000000\n"
    )
    lines = text(0, 10_000, breaker)
    router = NativeRouter(
        lines.replace("slots", "allowance 1 grant g attempts 1 failures - until_ms -\nslots")
    )
    router.end(router.decide(), Judgement.BAD)
    for _ in range(2):  # the breaker would let a probe through each time
        assert router.decide(now_ns=SECOND).diverted is Diverted.ALLOWANCE


def limited(old: str, new: str, rest: str = "") -> NativeRouter:
    lines = text(0, 10_000, rest).replace(f"{OLD} primary", f"{OLD} primary {old}".rstrip())
    return NativeRouter(lines.replace(f"{NEW}\n", f"{NEW} {new}".rstrip() + "\n"))


def test_a_full_arm_overflows_to_the_primary_by_default() -> None:
    router = limited("", "max_in_flight 2")
    decisions = [router.decide() for _ in range(3)]
    assert [decision.arm for decision in decisions] == [1, 1, 0]
    assert decisions[2].diverted is Diverted.OVERFLOW
    router.end(decisions[0])
    assert router.decide().arm == 1
    assert (router.state(0).in_flight, router.state(1).in_flight) == (1, 2)


def test_a_full_arm_may_refuse() -> None:
    router = limited("", "max_in_flight 1 overflow reject")
    router.decide()
    refused = router.decide()
    assert (refused.rejected, refused.arm) == (True, 1)
    assert (router.state(0).in_flight, router.state(1).in_flight) == (0, 1)


def test_when_all_is_full_it_is_refused() -> None:
    router = limited("max_in_flight 1", "max_in_flight 1")
    assert [router.decide().rejected for _ in range(3)] == [False, False, True]


def test_what_overflows_must_be_admitted_there() -> None:
    breaker = (
        "breaker consecutive 1 rate 0 min_requests 0 window_us 1000000 open_us 1000000 "
        "max_open_us 1000000\n"
    )
    router = limited("max_in_flight 1 overflow 1", "", breaker)
    router.end(router.decide(), Judgement.BAD)
    assert router.decide().diverted is Diverted.BREAKER  # fills the primary
    assert router.decide().rejected  # the overflow arm is ejected
    probe = router.decide(now_ns=SECOND)
    assert (probe.arm, probe.probe) == (1, True)


def test_a_probe_that_finds_no_room_is_given_back() -> None:
    breaker = (
        "breaker consecutive 1 rate 0 min_requests 0 window_us 1000000 open_us 1000000 "
        "max_open_us 1000000\n"
    )
    router = limited("", "max_in_flight 1 overflow reject", breaker)
    router.end(router.decide(), Judgement.BAD)
    router.load_arm(1, in_flight=1)
    assert router.decide(now_ns=SECOND).rejected
    router.load_arm(1, in_flight=0)
    assert router.decide(now_ns=SECOND).probe


@given(
    st.integers(0, 10_000),
    st.integers(0, 5),
    st.lists(st.sampled_from(["began", "ended", "rescue", "rescued"]), max_size=80),
)
def test_rescues_stay_below_the_budget(parts_of: int, floor: int, steps: list[str]) -> None:
    budget = RescueBudget()
    in_flight = rescues = 0
    for step in steps:
        if step == "began":
            budget.request(began=True)
            in_flight += 1
        elif step == "ended" and in_flight:
            budget.request(began=False)
            in_flight -= 1
        elif step == "rescue":
            allowed = rescues * 10_000 < max(floor * 10_000, parts_of * in_flight)
            assert budget.rescue(parts=parts_of, floor=floor) is allowed
            rescues += allowed
        elif step == "rescued" and rescues:
            budget.rescue_ended()
            rescues -= 1


def test_rescues_are_unbounded_while_the_breaker_takes_the_arm_out() -> None:
    budget = RescueBudget()
    assert not budget.rescue(parts=2_000, floor=0)
    assert all(budget.rescue(parts=2_000, floor=0, unbounded=True) for _ in range(50))
    assert not budget.rescue(parts=10_000, floor=50)
    assert budget.rescue(parts=10_000, floor=51)

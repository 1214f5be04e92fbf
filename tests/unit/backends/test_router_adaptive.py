"""Adaptive mode: peak-EWMA, scores, exploration, ties."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.models import policy_text
from tests.support.routing import Judgement, NativeRouter
from tests.support.routing_parts import parts, peak_ewma

SECOND = 1_000_000_000
FOUR = {f"m.v{i}.abcdef": 2_500 for i in range(4)}


def adaptive(
    weights: str, *, arms: dict[str, int] | None = None, options: dict[int, str] | None = None
) -> NativeRouter:
    lines = policy_text("m", arms or FOUR).splitlines()
    for index, words in (options or {}).items():
        lines[3 + index] += f" {words}"
    return NativeRouter("\n".join([*lines, f"objective {weights}"]) + "\n")


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**10)), min_size=1, max_size=30))
def test_peak_ewma_jumps_up_and_decays_down(samples: list[tuple[int, int]]) -> None:
    times, now, value, expected = [], 0, 0.0, []
    before = 0
    for latency, wait in samples:
        now += wait
        times.append(now)
        if latency >= value:
            value = float(latency)
        else:
            value += (latency - value) * (1 - math.exp(-(now - before) / 10e9))
        before = now
        expected.append(value)
    assert peak_ewma([latency for latency, _ in samples], times) == pytest.approx(expected)


def test_a_clock_that_reads_earlier_does_no_harm() -> None:
    assert peak_ewma([100, 50], [SECOND, 0]) == [100, 100]


@pytest.mark.parametrize(
    ("weights", "options", "best"),
    [
        ("alpha 1 beta 0 gamma 0 delta 0 explore 0", {}, 2),
        ("alpha 0 beta 1 gamma 0 delta 0 explore 0", {0: "cost 3", 1: "cost 1", 2: "cost 2"}, 3),
        ("alpha 0 beta 0 gamma 1 delta 0 explore 0", {3: "capacity 100"}, 3),
        (
            "alpha 0 beta 0 gamma 0 delta 1 explore 0",
            {0: "accuracy 0.5", 1: "accuracy 0.9", 2: "accuracy 0.8", 3: "accuracy 0.7"},
            1,
        ),
    ],
)
def test_each_term_by_itself(weights: str, options: dict[int, str], best: int) -> None:
    router = adaptive(weights, options=options)
    for arm, latency in enumerate((400, 300, 100, 200)):
        router.load_arm(arm, in_flight=5, latency_ns=latency)
    for _ in range(4):
        decision = router.decide(now_ns=1)
        assert decision.arm == best
        router.end(decision, Judgement.NOTHING)


def test_the_score_is_the_weighted_sum() -> None:
    router = adaptive(
        "alpha 2 beta 3 gamma 5 delta 7 explore 0",
        arms={"m.v0.abcdef": 5_000, "m.v1.abcdef": 5_000, "m.v2.abcdef": 0},
        options={0: "cost 4 accuracy 0.8 capacity 10", 1: "cost 1 accuracy 0.6 capacity 2"},
    )
    router.load_arm(0, in_flight=4, latency_ns=100)
    router.load_arm(1, in_flight=9, latency_ns=400)
    first, second, third = router.scores()
    assert first == pytest.approx(2 * 0.25 + 3 * 1 + 5 * 0.4 + 7 * 0)
    assert second == pytest.approx(2 * 1 + 3 * 0.25 + 5 * 1 + 7 * 0.25)
    assert math.isnan(third)  # no slots: no candidate
    assert adaptive("alpha 1 beta 1 gamma 1 delta 1 explore 0").scores() == [0, 0, 0, 0]


def test_a_tie_goes_round() -> None:
    arms = adaptive("alpha 1 beta 1 gamma 0 delta 1 explore 0").run(400, latency_ns=500)
    assert [arms.count(arm) for arm in range(4)] == [100, 100, 100, 100]


@pytest.mark.parametrize("explore", [0, 100, 2_000, 10_000])
def test_the_floor_of_exploration_is_kept_evenly(explore: int) -> None:
    options = {0: "cost 1", 1: "cost 2", 2: "cost 3", 3: "cost 4"}
    router = adaptive(f"alpha 0 beta 1 gamma 0 delta 0 explore {explore}", options=options)
    arms = router.run(20_000)
    each = 20_000 * explore / 10_000 / 4
    for arm in (1, 2, 3):
        assert arms.count(arm) == pytest.approx(each, abs=2)
    assert arms.count(0) == pytest.approx(20_000 - 3 * each, abs=6)


@given(st.integers(0, 2**63))
def test_the_spread_is_that_of_the_golden_ratio(n: int) -> None:
    assert parts().nereid_evenly_spread(n) == (n * 0x9E3779B97F4A7C15 % 2**64) / 2**64
    if n < 10**6:
        assert parts().nereid_evenly_spread(n) == pytest.approx(
            math.modf(n * 0.6180339887498949)[0], abs=1e-9
        )


def test_an_ejected_arm_is_no_candidate() -> None:
    text = policy_text("m", FOUR) + (
        "breaker consecutive 1 rate 0 min_requests 0 window_us 1000000 open_us 1000000 "
        "max_open_us 1000000\nobjective alpha 0 beta 1 gamma 0 delta 0 explore 5000\n"
    )
    router = NativeRouter(text)
    ejected = None
    while ejected is None:
        decision = router.decide(now_ns=SECOND)
        bad = decision.arm == 3
        router.end(decision, Judgement.BAD if bad else Judgement.GOOD, now_ns=SECOND)
        ejected = True if bad else None
    assert router.run(1_000, now_ns=SECOND).count(3) == 0
    assert math.isnan(router.scores(SECOND)[3])
    assert not math.isnan(router.scores(2 * SECOND)[3])


def test_a_failure_is_no_speed() -> None:
    router = adaptive("alpha 1 beta 0 gamma 0 delta 0 explore 0")
    for arm in range(4):
        router.load_arm(arm, latency_ns=1_000)
    decision = router.decide(now_ns=SECOND)
    router.end(decision, Judgement.BAD, latency_ns=10, now_ns=SECOND)
    assert router.state(decision.arm).latency_ns == 1_000
    decision = router.decide(now_ns=SECOND)
    router.end(decision, Judgement.BAD, latency_ns=5_000, now_ns=SECOND)
    assert router.state(decision.arm).latency_ns == 5_000

"""Adaptive mode: each request goes where latency, cost, load and accuracy together are best."""

from __future__ import annotations

import math

from tests.integration.backends.arms import BOUNDLESS_RESCUE, Stage, version_of
from tests.support.triton import eventually

EVEN = [5000, 5000]


def objective(
    *, alpha: float = 0, beta: float = 0, gamma: float = 0, delta: float = 0, explore: int = 0
) -> str:
    return f"objective alpha {alpha} beta {beta} gamma {gamma} delta {delta} explore {explore}"


def scores(stage: Stage, endpoint: str, count: int = 2) -> list[float]:
    return [stage.metric("arm_score", endpoint, version + 1) for version in range(count)]


def test_the_slower_arm_gets_less(stage: Stage) -> None:
    stage.endpoint("slower", EVEN, objective(alpha=1, explore=1000))
    answered = stage.arms("slower", 200, {"v2.delay_ms": 60})
    # Every tenth explores, one of two of those finds the slow one; and once before it was known.
    assert 8 <= answered[2] <= 14
    eventually(lambda: scores(stage, "slower")[1] == 1)
    assert 0 < scores(stage, "slower")[0] < 1


def test_without_exploration_it_gets_next_to_nothing(stage: Stage) -> None:
    stage.endpoint("unexplored", EVEN, objective(alpha=1))
    assert stage.arms("unexplored", 100, {"v2.delay_ms": 60})[2] <= 2


def test_a_peak_is_remembered_over_a_reload(stage: Stage) -> None:
    policy = objective(alpha=1)
    stage.endpoint("remembered", EVEN, policy)
    stage.arms("remembered", 20, {"v2.delay_ms": 60})
    stage.route("remembered", EVEN, policy)
    assert stage.arms("remembered", 50) == {1: 50}


def test_the_cheaper_arm_gets_all(stage: Stage) -> None:
    words = {1: "cost 4", 2: "cost 1"}
    stage.endpoint("cheaper", EVEN, objective(beta=2), words=words)
    assert stage.arms("cheaper", 30) == {2: 30}
    assert scores(stage, "cheaper") == [2, 0.5]


def test_the_more_accurate_arm_gets_all(stage: Stage) -> None:
    words = {1: "accuracy 0.8", 2: "accuracy 0.9"}
    stage.endpoint("accurate", EVEN, objective(delta=1), words=words)
    assert stage.arms("accurate", 30) == {2: 30}
    loss, best = scores(stage, "accurate")
    assert math.isclose(loss, 0.1 / 0.9)
    assert best == 0


def test_the_arm_with_room_gets_the_next_one(stage: Stage) -> None:
    words = {1: "capacity 4", 2: "capacity 2"}
    stage.endpoint("loaded", EVEN, objective(gamma=1), words=words)
    busy = []
    for number in range(1, 7):  # 1/4 beside 1/2, 2/4 beside 1/2, ...
        busy.append(stage.begin("loaded", {"delay_ms": 60_000}))
        eventually(lambda n=number: stage.in_flight("loaded") == n)
    assert (stage.in_flight("loaded", 1), stage.in_flight("loaded", 2)) == (4, 2)
    eventually(lambda: scores(stage, "loaded") == [1, 1])
    for each in busy:
        each.cancel()
    eventually(lambda: stage.in_flight("loaded") == 0)


def test_equal_arms_take_turns(stage: Stage) -> None:
    stage.endpoint("equal", EVEN, objective(beta=1))
    answered = stage.arms("equal", 100)
    assert 45 <= answered[1] <= 55


def test_an_arm_without_slots_is_no_candidate(stage: Stage) -> None:
    policy = objective(beta=1, explore=10_000)
    stage.endpoint("three", [5000, 5000, 0], policy, words={1: "cost 1", 2: "cost 1"})
    answered = stage.arms("three", 100)
    assert set(answered) == {1, 2}
    assert math.isnan(scores(stage, "three", 3)[2])
    assert not any(math.isnan(score) for score in scores(stage, "three"))


def test_under_another_mode_there_is_no_score(stage: Stage) -> None:
    stage.endpoint("weighted", EVEN)
    assert all(math.isnan(score) for score in scores(stage, "weighted"))
    stage.route("weighted", EVEN, objective(beta=1), words={1: "cost 1"})
    assert scores(stage, "weighted") == [1, 0]
    stage.route("weighted", EVEN)
    assert all(math.isnan(score) for score in scores(stage, "weighted"))


def test_rules_come_first(stage: Stage) -> None:
    rule = "rule 0 parameter to equals main"
    words = {1: "cost 4", 2: "cost 1"}
    stage.endpoint("ruled", EVEN, rule, objective(beta=1), words=words)
    assert version_of(stage.ask("ruled")) == 2
    assert stage.arms("ruled", 10, {"to": "main"}) == {1: 10}


def test_an_ejected_arm_is_no_candidate(stage: Stage) -> None:
    breaker = (
        "breaker consecutive 2 rate 0 min_requests 1 window_us 10000000 "
        "open_us 600000000 max_open_us 600000000"
    )
    words = {1: "cost 4", 2: "cost 1"}
    policy = (breaker, BOUNDLESS_RESCUE, objective(beta=1, explore=5000))
    stage.endpoint("ejected", EVEN, *policy, words=words)
    assert stage.arms("ejected", 50, {"v2.fail": "INTERNAL"}) == {1: 50}
    stage.expect("ejected", {"v1 ok": 50, "v2 rescued": 2})
    # It is not chosen at all, so nothing has to be diverted.
    assert stage.metric("diverted_total", "ejected", 2) == 0
    eventually(lambda: math.isnan(scores(stage, "ejected")[1]))


def test_a_spent_allowance_ends_it_too(stage: Stage) -> None:
    words = {1: "cost 4", 2: "cost 1"}
    grant = ["1 grant a attempts 5 failures - until_ms -"]
    stage.endpoint("spent", EVEN, objective(beta=1), words=words, allowances=grant)
    assert stage.arms("spent", 20) == {2: 5, 1: 15}


def test_one_policy_takes_everything_back_at_once(stage: Stage) -> None:
    words = {1: "cost 4", 2: "cost 1"}
    stage.endpoint("killed", EVEN, objective(beta=1), words=words)
    under_way = [stage.begin("killed", {"delay_ms": 500}) for _ in range(5)]
    eventually(lambda: stage.in_flight("killed", 2) == 5)
    stage.route("killed", [10_000, 0])
    answered = stage.at_once(4, lambda _: stage.arms("killed", 25))
    assert answered == [{1: 25}] * 4
    # What was begun before is answered by who began it.
    assert {version_of(each.answer()) for each in under_way} == {2}
    stage.expect("killed", {"v1 ok": 100, "v2 ok": 5})

"""What a policy means, where the law is easier told than drawn (the rest: tests/unit/backends)."""

from __future__ import annotations

import pytest

from control_plane.domain.routing import meaning
from control_plane.domain.routing.meaning import ArmState, Endpoint
from control_plane.domain.routing.policy import Arm, Objective, RoutingPolicy

BY_LATENCY = Objective(alpha=1)


def endpoint(arms: int) -> Endpoint:
    policy = RoutingPolicy(
        tuple(Arm(f"a{i}", "m", i + 1, 0, primary=i == 0) for i in range(arms)),
        objective=BY_LATENCY,
    )
    return Endpoint("m", policy, range(arms), [1] * arms)


def scores(*latencies: float) -> list[float]:
    states = [ArmState(latency=latency) for latency in latencies]
    places = range(len(latencies))
    found = meaning.scores(endpoint(len(latencies)), BY_LATENCY, places, states)
    return [found[i] for i in places]


@pytest.mark.parametrize(
    ("latencies", "expected"),
    [
        ((100, 300, 0), [1 / 3, 1, 2 / 3]),
        ((0, 400), [1, 1]),
        ((0, 0, 0), [0, 0, 0]),
        ((100, 200, 0, 0), [0.5, 1, 0.75, 0.75]),
    ],
)
def test_an_arm_that_was_not_measured_counts_as_slow_as_the_others_on_average(
    latencies: tuple[float, ...], expected: list[float]
) -> None:
    assert scores(*latencies) == pytest.approx(expected)


def test_an_arm_that_is_no_candidate_says_nothing_of_the_average() -> None:
    states = [ArmState(latency=latency) for latency in (100, 200, 0, 900)]
    found = meaning.scores(endpoint(4), BY_LATENCY, (0, 1, 2), states)
    assert found[2] == pytest.approx(0.75)

"""The simulator: what a template would do, before it is used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.analysis.metric import Kind, Metric
from control_plane.domain.analysis.scenario import (
    Scenario,
    read_scenario,
    scenario_document,
    share_over,
    truth,
)
from control_plane.domain.analysis.simulating import Simulated, simulate
from control_plane.domain.analysis.template import read_template
from control_plane.domain.violations import InvalidInputError

ERRORS = {"name": "errors", "kind": "error_rate"}


def simulated(scenario: dict[str, Any], *metrics: dict[str, Any], runs: int = 60) -> Simulated:
    template = read_template({"metrics": list(metrics or [ERRORS]), "inconclusiveAfter": "2m"})
    return simulate(template, read_scenario(scenario), runs)


def test_a_bad_version_is_caught_and_the_harm_and_the_time_are_told() -> None:
    found = simulated({"candidateError": 0.3, "weight": 10})
    assert (found.failed, found.successful) == (1, 0)
    assert found.failed_by == {"errors": 1}
    assert found.seconds_to_fail is not None
    assert found.harmed_until_failed is not None
    assert found.seconds_to_fail[0] <= found.seconds_to_fail[1] < 60
    assert 2 <= found.harmed_until_failed[0] < 30


def test_a_good_version_is_not_failed_and_all_runs_are_accounted_for() -> None:
    found = simulated({"rate": 500, "weight": 50}, runs=100)
    assert found.failed <= 0.05
    assert found.successful > 0.5
    assert found.failed + found.successful + found.inconclusive == pytest.approx(1)


def test_every_kind_of_metric_can_be_simulated_and_the_one_that_failed_is_named() -> None:
    kinds = [
        ERRORS,
        {"name": "p99", "kind": "latency_quantile", "unit": "request"},
        {"name": "p95", "kind": "latency_quantile", "q": 0.95, "compare": "none", "limit": "90ms"},
        {"name": "sla", "kind": "sla_violations", "latency": "50ms"},
        {"name": "ok", "kind": "feedback", "outcome": "ok", "unit": "block"},
        {"name": "sure", "kind": "confidence"},
    ]
    found = simulated({"rate": 400, "weight": 50, "slower": 2}, *kinds, runs=10)
    assert found.failed == 1
    assert found.failed_by["p99"] > 0
    assert found.failed_by["ok"] == 0


def test_the_same_seed_gives_the_same_runs() -> None:
    scenario = {"candidateError": 0.05, "burst": 0.3, "sharedBurst": 0.3}
    assert simulated(scenario, runs=20) == simulated(scenario, runs=20)


@given(st.floats(0.1, 10), st.floats(0.05, 2))
def test_the_share_over_a_latency_is_that_of_a_lognormal(times: float, spread: float) -> None:
    rng = np.random.default_rng(1)
    drawn = (np.exp(spread * rng.normal(size=20_000)) > times).mean()
    assert share_over(1000 * times, 1000, spread) == pytest.approx(drawn, abs=0.02)


def test_what_a_quantile_meets_is_one_per_cent_where_the_arms_are_alike() -> None:
    met = truth(Metric("p99", Kind.LATENCY_QUANTILE, margin_relative=0.1), Scenario())
    assert met.baseline == pytest.approx(0.01, rel=0.3)
    assert met.candidate_failing < met.candidate_passing < met.baseline


def test_a_scenario_is_read_again_and_refused_where_it_cannot_be() -> None:
    scenario = read_scenario({"rate": 50, "weight": 12.5, "latency": "30ms", "burstLasts": "2s"})
    assert (scenario.weight, scenario.latency, scenario.burst_lasts) == (0.125, 30_000, 2)
    assert read_scenario(scenario_document(scenario)) == scenario
    with pytest.raises(InvalidInputError) as caught:
        read_scenario({"rate": 0, "weight": 100, "colour": 1, "candidateError": 2})
    pointers = {violation.pointer for violation in caught.value.violations}
    assert pointers == {"/rate", "/weight", "/colour", "/candidateError"}


def test_answers_that_are_less_sure_are_caught_and_what_counts_is_told_beforehand() -> None:
    sure = {"name": "sure", "kind": "confidence", "better": "same"}
    [lower, higher] = read_template({"metrics": [sure]}).metrics[:2]
    half = truth(lower, Scenario(surer=0.5))
    assert half.baseline == pytest.approx(0.1, abs=0.02)
    assert half.candidate_failing == pytest.approx(0.21, abs=0.02)
    assert truth(higher, Scenario(surer=0.5)).candidate_failing == pytest.approx(0.79, abs=0.02)
    found = simulated({"rate": 400, "weight": 50, "surer": 0.3}, sure, runs=20)
    assert found.failed == 1
    assert simulated({"rate": 400, "weight": 50}, sure, runs=20).failed <= 0.05

"""Latencies compared in the router's buckets, and blocks of time as evidence."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.analysis.blocks import Blocks
from control_plane.domain.analysis.counting import Recent, over_edges, threshold
from control_plane.domain.analysis.evidence import ArmEvidence, Evidence
from control_plane.domain.analysis.looking import begin, look, state_from_document
from control_plane.domain.analysis.looks import MetricLook, Phase
from control_plane.domain.analysis.metric import Kind, Metric
from control_plane.domain.analysis.rows import fail_shift, pass_shift
from control_plane.domain.analysis.template import read_template
from control_plane.domain.analysis.two_rates import Counts
from control_plane.domain.latency import FIRST_US, RATIO, edge_from, edge_until, edge_us

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
P99 = {"name": "p99", "kind": "latency_quantile"}


def sketch(rng: np.random.Generator, requests: int, median_us: float) -> dict[int, int]:
    """Lognormal latencies as the router counts them."""
    times = median_us * np.exp(0.5 * rng.normal(size=requests))
    steps = np.log(np.maximum(times, FIRST_US) / FIRST_US) / math.log(RATIO)
    numbers, counts = np.unique(np.ceil(steps).astype(int), return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def judged(metric: dict[str, Any], slower: float, looks: int, twin: bool = False) -> MetricLook:
    """The metric after so many looks of ten seconds, 1000 requests each way, or at its end."""
    template = read_template({"metrics": [metric], "inconclusiveAfter": "10h"})
    rng, state = np.random.default_rng(5), begin(template, NOW)
    for at in range(looks):
        arms = [ArmEvidence(buckets=sketch(rng, 1000, 2500 * x)) for x in (slower, 1.0)]
        second = ArmEvidence(buckets=sketch(rng, 1000, 2500 * slower)) if twin else None
        evidence = Evidence(10, *arms, twin=second)
        state = state_from_document(template, json.loads(json.dumps(state.to_document())))
        state, found = look(template, state, evidence, NOW + timedelta(seconds=10 * at))
        if found.phase.ended:
            break
    return found.metrics[0]


def test_a_third_slower_fails_and_the_bounds_are_in_parts_of_the_baseline() -> None:
    found = judged(P99, 1.33, 60)
    assert found.phase is Phase.FAILED
    assert (found.scale, found.limit, found.unit) == ("ratio", 1.05, "paired block of 10s")
    assert found.estimate == pytest.approx(1.33, rel=0.1)
    assert found.lower is not None
    assert 1.05 <= found.lower < 1.33
    assert "shown to be more than 1.05 times the baseline's" in found.reason


def test_as_quick_passes_within_a_margin_and_never_with_less_than_a_bucket() -> None:
    found = judged({**P99, "marginRelative": 0.25}, 1.0, 60)
    assert found.phase is Phase.SUCCESSFUL
    assert found.upper is not None
    assert found.upper <= 1.25


def test_the_twin_is_what_it_is_compared_with_where_there_is_one() -> None:
    slow = {**P99, "compare": "twin"}
    assert judged(slow, 2.0, 20, twin=True).phase is Phase.RUNNING
    without = judged(slow, 2.0, 60)
    assert (without.phase, without.compare) == (Phase.FAILED, "baseline")


def test_a_limit_in_milliseconds_needs_no_baseline_and_takes_the_edges_for_the_worse() -> None:
    limit = {**P99, "compare": "none", "limit": "9ms"}
    slow, quick = judged(limit, 1.4, 60), judged(limit, 0.9, 60)
    assert (slow.phase, quick.phase) == (Phase.FAILED, Phase.SUCCESSFUL)
    assert slow.lower is not None
    assert slow.lower >= 9000
    assert quick.upper is not None
    assert quick.upper <= 9000


def test_the_share_over_a_latency_is_compared_as_a_rate() -> None:
    found = judged({"name": "sla", "kind": "sla_violations", "latency": "9ms"}, 1.5, 60)
    assert found.phase is Phase.FAILED
    assert found.scale == "difference"


@pytest.mark.parametrize(("margin", "fails", "passes"), [(0.05, 1, 1), (0.1, 2, 1), (0.2, 4, 3)])
def test_a_margin_between_two_edges_is_taken_for_the_worse_on_both_sides(
    margin: float, fails: int, passes: int
) -> None:
    metric = Metric("p99", Kind.LATENCY_QUANTILE, margin_relative=margin)
    assert (fail_shift(metric), pass_shift(metric)) == (fails, passes)


@given(st.floats(50, 9e7))
def test_what_is_over_the_edge_above_was_slower_and_what_is_under_the_one_below_was_not(
    us: float,
) -> None:
    assert edge_us(edge_until(us)) <= us * (1 + 1e-6)
    assert edge_us(edge_from(us)) >= us * (1 - 1e-6)
    assert edge_from(us) - edge_until(us) <= 1


def test_the_threshold_is_where_the_baselines_quantile_lies() -> None:
    recent = Recent(sketch={10: 900, 20: 90, 30: 10})
    assert threshold(recent, 0.99) == 20
    assert threshold(recent, 0.9) == 10
    assert threshold(Recent(sketch={10: 100}), 0.99) is None
    assert threshold(Recent(sketch={80: 100}), 0.5) == 80
    assert over_edges(recent.sketch, [9, 10, 19, 20, 29, 30, 400]) == [1000, 100, 100, 10, 10, 0, 0]


def blocks(shares: list[float], weight: float = 100.0) -> Blocks:
    found = Blocks()
    for share in shares:
        counts = (2 * weight, weight * (1 + 2 * share), 2 * weight, weight)
        found = found.after(Counts(*map(np.asarray, counts)), 1, 1, alone=False)
    return found


def test_the_blocks_evidence_is_the_docstrings_and_splits_of_a_block_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("control_plane.domain.analysis.blocks.EFFECTS", np.array([0.1]))
    found = blocks([0.02, 0.01, 0.03])
    assert (found.complete, found.w, found.wx) == (3, 100 * 3, pytest.approx(6))
    assert math.exp(found.log_above(np.zeros(()))) == pytest.approx(4.445, abs=1e-3)
    half = [np.asarray(x / 2) for x in (200.0, 104.0, 200.0, 100.0)]
    split = Blocks().after(Counts(*half), 5, 10, alone=False)
    assert split.complete == 0
    split = split.after(Counts(*half), 5, 10, alone=False)
    assert (split.complete, split.wx) == (1, pytest.approx(2))


def test_a_block_in_which_an_arm_had_no_request_is_none() -> None:
    found = blocks([0.02, 0.01, 0.03])
    silent = Counts(*map(np.asarray, (0.0, 0.0, 50.0, 3.0)))
    later = found.after(silent, 1, 1, alone=False)
    assert (later.complete, later.w) == (found.complete, found.w)
    assert later.log_above(np.zeros(())) == found.log_above(np.zeros(()))


def test_blocks_of_any_spread_let_a_doubter_win_nothing_in_the_mean() -> None:
    """Normal differences, 3,000 runs: whatever sigma is, the mean evidence is about 1."""
    rng = np.random.default_rng(11)
    for sigma in (0.001, 1.0):
        found = Blocks()
        for _ in range(6):
            x = rng.normal(0, sigma, 3000)
            found = Blocks(
                found.complete + 1, found.wxx + 9 * x * x, found.wx + 9 * x, found.w + 9.0
            )
        won = np.exp(np.minimum(found.log_above(np.zeros(3000)), 20))
        assert won.mean() < 1.3
        mirrored = Blocks(found.complete, found.wxx, -found.wx, found.w)
        np.testing.assert_allclose(
            found.log_above(np.zeros(3000)), mirrored.log_below(np.zeros(3000))
        )

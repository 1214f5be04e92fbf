"""Figures of whole blocks as evidence: when a run by them fails, passes, and says nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from control_plane.domain.analysis.evidence import ArmEvidence, Evidence, Told
from control_plane.domain.analysis.looking import begin, look, state_from_document
from control_plane.domain.analysis.looks import Look, Phase, Scale
from control_plane.domain.analysis.template import read_template
from control_plane.domain.violations import InvalidInputError

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
FIGURE = {"name": "wait", "kind": "promql", "query": 'wait{arm="{{arm}}"}', "block": "10s"}
COUNTERS = {
    "name": "refunds",
    "kind": "promql",
    "of": 'orders_total{arm="{{arm}}"}',
    "count": 'refunds_total{arm="{{arm}}"}',
    "unit": "request",
}


def looked(metric: dict[str, Any], *told: Told | None, why: str = "") -> Look:
    """One look each ten seconds until it ends; through JSON in between, as it is kept."""
    template = read_template({"metrics": [metric]})
    state = begin(template, NOW)
    for each in told:
        state = state_from_document(template, json.loads(json.dumps(state.to_document())))
        evidence = Evidence(
            10,
            ArmEvidence(),
            ArmEvidence(),
            told={} if each is None else {metric["name"]: each},
            unmeasured={metric["name"]: why} if why else {},
        )
        state, last = look(template, state, evidence, NOW + timedelta(seconds=10 * state.looks))
        if last.phase.ended:
            break
    json.dumps(last.to_document())
    return last


def figures(candidate: float, baseline: float, blocks: int = 40) -> list[Told]:
    return [Told(10, (2 * candidate, 2), (2 * baseline, 2))] * blocks


def test_a_figure_that_is_worse_in_every_block_fails_after_seven_of_them() -> None:
    found = looked(FIGURE, *figures(12, 10))
    assert found.phase is Phase.FAILED
    assert found.number == 7
    [metric] = found.metrics
    assert (metric.scale, metric.limit, metric.candidate.estimate) == (Scale.RATIO, 1.05, 12)
    assert metric.lower is not None
    assert metric.lower >= 1.05
    assert "bad in 7 of 7 blocks" in metric.reason


@pytest.mark.parametrize(
    ("more", "candidate", "baseline", "phase"),
    [
        ({}, 10, 10, Phase.SUCCESSFUL),
        ({"better": "higher"}, 12, 10, Phase.SUCCESSFUL),
        ({"better": "higher"}, 8, 10, Phase.FAILED),
        ({"floor": 20}, 12, 10, Phase.SUCCESSFUL),
        ({"marginRelative": 0.5}, 12, 10, Phase.SUCCESSFUL),
        ({}, 0, 0, Phase.SUCCESSFUL),
        ({}, 1, 0, Phase.FAILED),
        ({"goal": "superior"}, 8, 10, Phase.SUCCESSFUL),
        ({"goal": "superior"}, 12, 10, Phase.FAILED),
        ({"compare": "none", "limit": 11}, 12, 0, Phase.FAILED),
        ({"compare": "none", "limit": 11}, 10, 0, Phase.SUCCESSFUL),
        ({"compare": "none", "limit": -5, "better": "higher"}, -6, 0, Phase.FAILED),
        ({"compare": "none", "limit": 0}, 0.5, 0, Phase.FAILED),
    ],
)
def test_what_is_worse(
    more: dict[str, Any], candidate: float, baseline: float, phase: Phase
) -> None:
    found = looked({**FIGURE, **more}, *figures(candidate, baseline))
    assert found.phase is phase, found.reason


def test_bounds_are_told_in_the_figures_own_direction() -> None:
    [metric] = looked(
        {**FIGURE, "better": "higher", "compare": "none", "limit": 100}, *figures(90, 0)
    ).metrics
    assert (metric.limit, metric.better, metric.estimate) == (
        100,
        "higher",
        pytest.approx(90, 0.06),
    )
    assert metric.upper is not None
    assert metric.upper <= 100


@pytest.mark.parametrize("told", [Told(10, (5, 1), (0, 0)), Told(10, (0, 0), (5, 1))])
def test_a_block_in_which_an_arm_had_no_figure_is_no_reading(told: Told) -> None:
    found = looked(FIGURE, *[told] * 20)
    assert (found.phase, found.metrics[0].candidate.of) == (Phase.RUNNING, 0)
    assert "no block of 10s could be read yet" in found.reason


def test_a_quantile_of_the_readings_may_be_asked_for() -> None:
    one_in_five = [*figures(12, 10, 1), *figures(10, 10, 4)] * 60
    assert looked(FIGURE, *one_in_five).phase is Phase.SUCCESSFUL
    assert looked({**FIGURE, "q": 0.95}, *one_in_five).phase is Phase.FAILED


def test_what_cannot_be_measured_is_an_error_and_no_failure() -> None:
    found = looked(FIGURE, *[None] * 12, why="it is not there")
    assert found.phase is Phase.ERROR
    assert found.number == 10
    assert "wait: it is not there" in found.reason
    informs = {**FIGURE, "required": False}
    template = read_template({"metrics": [{"name": "errors", "kind": "error_rate"}, informs]})
    evidence = Evidence(10, ArmEvidence(), ArmEvidence(), unmeasured={"wait": "it is not there"})
    state = begin(template, NOW)
    for _ in range(12):
        state, last = look(template, state, evidence, NOW)
    assert last.phase is Phase.RUNNING, "what only informs holds nothing up"


def test_counters_are_two_rates() -> None:
    found = looked(COUNTERS, Told(10, (100, 60), (900, 9)))
    assert found.phase is Phase.FAILED
    assert "candidate 60 % of 100, baseline 1 % of 900" in found.reason
    good = looked({**COUNTERS, "better": "higher"}, Told(10, (100, 60), (900, 500)))
    assert good.phase is not Phase.FAILED
    assert good.metrics[0].candidate.count == 60


def waited(metric: dict[str, Any], candidate: int, baseline: int, twin: int | None = None) -> Look:
    """Looks of a second in which each of ten requests waits so many microseconds."""
    template = read_template({"metrics": [{"name": "queue", "kind": "queue_time", **metric}]})
    state, arms = begin(template, NOW), []
    for us in (candidate, baseline, twin):
        arms.append(None if us is None else ArmEvidence(queue=(10 * us, 10)))
    evidence = Evidence(1, arms[0] or ArmEvidence(), arms[1] or ArmEvidence(), arms[2])
    for second in range(1, 200):
        state, last = look(template, state, evidence, NOW + timedelta(seconds=second))
        if last.phase.ended:
            break
    return last


@pytest.mark.parametrize(
    ("metric", "us", "phase"),
    [
        ({}, (5000, 4000), Phase.FAILED),
        ({}, (4100, 4000), Phase.SUCCESSFUL),
        ({}, (900, 100), Phase.SUCCESSFUL),
        ({"floor": "0.01ms"}, (900, 100), Phase.FAILED),
        ({"compare": "twin"}, (5000, 4000, 5000), Phase.SUCCESSFUL),
        ({"compare": "none", "limit": "3ms"}, (5000, 0), Phase.FAILED),
        ({"compare": "none", "limit": "6ms"}, (5000, 0), Phase.SUCCESSFUL),
    ],
)
def test_the_queue_is_compared_block_by_block(
    metric: dict[str, Any], us: tuple[int, ...], phase: Phase
) -> None:
    found = waited(metric, *us)
    assert found.phase is phase, found.reason
    assert found.seconds == 70
    assert found.metrics[0].candidate.estimate == us[0]
    assert f"candidate {us[0] / 1000:.3g} ms" in found.reason


def test_by_mistake_no_more_than_alpha_fail() -> None:
    """A/A at the edge: whichever arm is the worse one is a coin's throw, block for block."""
    rng, failed = np.random.default_rng(3), 0
    for _ in range(60):
        draws = np.exp(rng.normal(size=(60, 2)))
        found = looked(
            {**FIGURE, "marginRelative": 0, "goal": "superior"},
            *(Told(10, (c, 1), (b, 1)) for c, b in draws),
        )
        failed += found.phase is Phase.FAILED
    assert failed / 60 <= 0.05 + 3 * (0.05 * 0.95 / 60) ** 0.5


@pytest.mark.parametrize(
    ("change", "pointer", "says"),
    [
        ({"query": None}, "query", "a figure, or two for counters"),
        ({"query": "up"}, "query", "the same of both arms"),
        ({"query": "up{a='{{arm}}', b='{{shop}}'}"}, "query", "no {{shop}}"),
        ({"of": "x{{arm}}", "count": "y{{arm}}"}, "query", "either"),
        ({"query": None, "of": "x{{arm}}"}, "count", "counters"),
        ({"unit": "request"}, "unit", "not of a request"),
        ({"margin": 0.1}, "margin", "marginRelative"),
        ({"block": "2s"}, "block", "5 s at least"),
        ({"compare": "none"}, "limit", "needs a limit"),
        ({"outcome": "x"}, "outcome", "feedback"),
        ({"kind": "error_rate"}, "query", "promql"),
    ],
)
def test_what_cannot_be_meant_is_refused(change: dict[str, Any], pointer: str, says: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_template({"metrics": [{**FIGURE, **change}]})
    found = {v.pointer: v.detail for v in caught.value.violations}
    assert says in found[f"/metrics/0/{pointer}"]

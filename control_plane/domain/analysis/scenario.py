"""What might happen to a candidate: traffic, failures, latencies, labels, and bursts.

Latencies are lognormal, and so are the odds of what answers take for likeliest. A burst is a share
that lasts: every arm's shares are multiplied by e^(s z - s^2 / 2), z a normal process that forgets
itself within so many seconds (AR(1)), once for each arm alone and once for both together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from control_plane.domain.analysis.metric import (
    FAILURES,
    SHADOWS,
    Better,
    Compare,
    Goal,
    Kind,
    Metric,
)
from control_plane.domain.analysis.rows import fail_shift, pass_shift
from control_plane.domain.confidence import edge, edge_near
from control_plane.domain.latency import OVERFLOW, edge_from, edge_until, edge_us
from control_plane.domain.routing.fields import Fields, duration_text
from control_plane.domain.violations import InvalidInputError, Violation

MAX_RATE = 1_000_000

_FIELDS = {
    "rate",
    "weight",
    "candidateError",
    "baselineError",
    "latency",
    "spread",
    "slower",
    "candidateOutcome",
    "baselineOutcome",
    "labelled",
    "confidence",
    "confidenceSpread",
    "surer",
    "burst",
    "sharedBurst",
    "burstLasts",
}


@dataclass(frozen=True)
class Scenario:
    """One story to try a template on.

    `rate` is requests in a second over both arms, `weight` the candidate's part of them, errors
    are shares, `latency` the baseline's median in microseconds and `spread` the standard deviation
    of its logarithm; the candidate takes `slower` times as long. Of `labelled` of the requests
    the outcome becomes known. `confidence` is the median of how sure the baseline's answers are,
    `confidence_spread` the standard deviation of the logarithm of their odds; the candidate's odds
    are `surer` times as high. `burst` and `shared_burst` are the s above, `burst_lasts` seconds.
    """

    rate: float = 100.0
    weight: float = 0.05
    candidate_error: float = 0.01
    baseline_error: float = 0.01
    latency: float = 20_000.0
    spread: float = 0.5
    slower: float = 1.0
    candidate_outcome: float = 0.9
    baseline_outcome: float = 0.9
    labelled: float = 0.1
    confidence: float = 0.9
    confidence_spread: float = 1.5
    surer: float = 1.0
    burst: float = 0.0
    shared_burst: float = 0.0
    burst_lasts: float = 5.0


@dataclass(frozen=True)
class Truth:
    """The shares of bad ones that a metric will meet, and of how many requests it hears.

    Failing and passing may look at different edges of a histogram: two shares of the candidate.
    """

    candidate_failing: float
    candidate_passing: float
    baseline: float
    heard: float = 1.0


def read_scenario(document: object) -> Scenario:
    """Reads and checks a scenario.

    Raises:
        InvalidInputError: with one violation per broken rule, each with its JSON pointer.
    """
    found: list[Violation] = []
    fields = Fields(document, "", found, "a scenario", _FIELDS)
    if not isinstance(document, dict):
        raise InvalidInputError(found)
    given = Scenario()

    def number(field: str, default: float, low: float = 0, high: float = 1) -> float:
        value = fields.number(field, low, high)
        return default if value is None else value

    weight = fields.get("weight")
    scenario = Scenario(
        rate=number("rate", given.rate, 0.1, MAX_RATE),
        weight=given.weight if weight is None else number("weight", 5, 0.01, 99.99) / 100,
        candidate_error=number("candidateError", given.candidate_error),
        baseline_error=number("baselineError", given.baseline_error),
        latency=float(fields.duration("latency", 50, 100_000_000) or given.latency),
        spread=number("spread", given.spread, 0.01, 3),
        slower=number("slower", given.slower, 0.01, 100),
        candidate_outcome=number("candidateOutcome", given.candidate_outcome),
        baseline_outcome=number("baselineOutcome", given.baseline_outcome),
        labelled=number("labelled", given.labelled, 0.0001, 1),
        confidence=number("confidence", given.confidence, 0.01, 0.999),
        confidence_spread=number("confidenceSpread", given.confidence_spread, 0.01, 10),
        surer=number("surer", given.surer, 0.001, 1000),
        burst=number("burst", given.burst, 0, 3),
        shared_burst=number("sharedBurst", given.shared_burst, 0, 3),
        burst_lasts=(fields.duration("burstLasts", 100_000, 3_600_000_000) or 5e6) / 1e6,
    )
    if found:
        raise InvalidInputError(found)
    return scenario


def scenario_document(scenario: Scenario) -> Mapping[str, Any]:
    """The JSON form with every value in force; `read_scenario` reads it back."""
    return {
        "rate": scenario.rate,
        "weight": round(100 * scenario.weight, 6),
        "candidateError": scenario.candidate_error,
        "baselineError": scenario.baseline_error,
        "latency": duration_text(round(scenario.latency)),
        "spread": scenario.spread,
        "slower": scenario.slower,
        "candidateOutcome": scenario.candidate_outcome,
        "baselineOutcome": scenario.baseline_outcome,
        "labelled": scenario.labelled,
        "confidence": scenario.confidence,
        "confidenceSpread": scenario.confidence_spread,
        "surer": scenario.surer,
        "burst": scenario.burst,
        "sharedBurst": scenario.shared_burst,
        "burstLasts": duration_text(round(scenario.burst_lasts * 1e6)),
    }


def truth(metric: Metric, scenario: Scenario) -> Truth:
    """What a metric will meet in a scenario."""
    if metric.kind in FAILURES:
        worse = scenario.candidate_error
        return Truth(worse, worse, scenario.baseline_error)
    if metric.kind in SHADOWS:
        return Truth(scenario.candidate_error, scenario.candidate_error, 0.0)
    if metric.kind is Kind.FEEDBACK:
        had = scenario.candidate_outcome, scenario.baseline_outcome
        c, b = (1 - x if metric.better is Better.HIGHER else x for x in had)
        return Truth(c, c, b, scenario.labelled)
    if metric.kind is Kind.CONFIDENCE:
        return _confident(metric, scenario)
    if metric.is_reading:
        return _read(metric, scenario)
    if metric.kind is Kind.PROMQL:
        return Truth(scenario.candidate_error, scenario.candidate_error, scenario.baseline_error)
    slow = scenario.latency * scenario.slower
    if metric.kind is Kind.SLA_VIOLATIONS:
        at = edge_us(edge_from(metric.latency))
        c, b = (share_over(at, us, scenario.spread) for us in (slow, scenario.latency))
        return Truth(c, c, b)
    if metric.compare is Compare.NONE:
        ends = edge_from(metric.limit or 0.0), edge_until(metric.limit or 0.0)
        c_fail, c_pass = (share_over(edge_us(end), slow, scenario.spread) for end in ends)
        return Truth(c_fail, c_pass, 0.0)
    at = _threshold(metric.q, scenario)
    failing, passing = (
        share_over(edge_us(min(at + shift, OVERFLOW - 1)), slow, scenario.spread)
        for shift in (fail_shift(metric), pass_shift(metric))
    )
    return Truth(failing, passing, share_over(edge_us(at), scenario.latency, scenario.spread))


def _confident(metric: Metric, scenario: Scenario) -> Truth:
    """Shares on the wrong side of the edge nearest to the level, or to the baseline's quantile."""
    odds, spread = scenario.confidence / (1 - scenario.confidence), scenario.confidence_spread
    if metric.level is not None:
        at = edge(edge_near(metric.level))
    else:
        wanted = odds * math.exp(spread * NormalDist().inv_cdf(metric.q))
        at = edge(edge_near(wanted / (1 + wanted)))
    over = (share_over(at / (1 - at), each, spread) for each in (odds * scenario.surer, odds))
    c, b = (1 - share if metric.better is Better.HIGHER else share for share in over)
    return Truth(c, c, b)


def _read(metric: Metric, scenario: Scenario) -> Truth:
    """How many readings are over the limit: figures are lognormal from block to block.

    Beside nothing a figure's median is `slower` times the limit, for nobody knows its unit.
    """
    over = share_over(1.0, scenario.slower, scenario.spread)
    if metric.compare is not Compare.NONE:
        allowed = 1 + metric.margin_relative
        allowed = allowed if metric.goal is Goal.NON_INFERIOR else 1 / allowed
        over = share_over(allowed, scenario.slower, scenario.spread * math.sqrt(2))
    return Truth(over, over, 0.0)


def share_over(us: float, median: float, spread: float) -> float:
    """The share of lognormal latencies over `us`.

    Worked example: at e^(2.326 * 0.5) = 3.2 times a median with a spread of 0.5 it is 1 %.
    """
    return math.erfc(math.log(us / median) / spread / math.sqrt(2)) / 2


def _threshold(q: float, scenario: Scenario) -> int:
    def off(bucket: int) -> float:
        over = share_over(edge_us(bucket), scenario.latency, scenario.spread)
        return abs(math.log(max(over, 1e-12) / (1 - q)))

    return min(range(OVERFLOW), key=off)

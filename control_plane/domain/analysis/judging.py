"""What a metric's sequence says at one look, for people and for the verdict."""

from __future__ import annotations

import math

from control_plane.domain.analysis.counting import Seen
from control_plane.domain.analysis.looks import MetricLook, Phase, Scale, Tally
from control_plane.domain.analysis.metric import Better, Compare, Goal, Kind, Metric
from control_plane.domain.analysis.readings import middle
from control_plane.domain.analysis.sequence import Sequence
from control_plane.domain.analysis.wording import told, unit_text, verdict_reason
from control_plane.domain.latency import quantile

_MOST = 1e12


def judged(
    metric: Metric, seen: Seen, sequence: Sequence, *, alpha: float, passing: float, compared: str
) -> MetricLook:
    """One metric at one look.

    Args:
        alpha: its share of the chance to fail a good version.
        passing: the chance to pass a bad one.
        compared: what it was compared with.
    """
    if sequence.failed(alpha):
        phase, reason = Phase.FAILED, verdict_reason(metric, seen, sequence, True)
    elif sequence.passed(passing):
        phase, reason = Phase.SUCCESSFUL, verdict_reason(metric, seen, sequence, False)
    else:
        phase, reason = Phase.RUNNING, f"{told(metric, seen)}; not decided yet"
    candidate, baseline = _tallies(metric, seen)
    lower, upper = sequence.lower(alpha), sequence.upper(passing)
    if metric.better is Better.HIGHER:
        lower, upper = _turned(metric, upper), _turned(metric, lower)
    rows = sequence.rows
    return MetricLook(
        name=metric.name,
        kind=metric.kind.value,
        phase=phase,
        reason=reason,
        required=metric.required,
        compare=compared,
        better=metric.better.value,
        unit=unit_text(metric),
        scale=_scale(metric),
        candidate=candidate,
        baseline=baseline,
        estimate=_estimate(metric, sequence, seen, candidate, baseline),
        lower=lower,
        upper=upper,
        limit=_limit(metric),
        statistic=_e_value(float(sequence.evidence_above()[rows.fail_row])),
        needed=1 / alpha,
        for_passing=_e_value(float(sequence.evidence_below()[rows.pass_row])),
        needed_for_passing=1 / passing,
    )


def _scale(metric: Metric) -> Scale:
    alone = metric.compare is Compare.NONE
    if metric.is_reading:
        own = Scale.MICROSECONDS if metric.kind is Kind.QUEUE_TIME else Scale.VALUE
        return own if alone else Scale.RATIO
    if metric.is_quantile:
        return Scale.MICROSECONDS if alone else Scale.RATIO
    return Scale.SHARE if alone else Scale.DIFFERENCE


def _tallies(metric: Metric, seen: Seen) -> tuple[Tally, Tally]:
    if metric.is_reading:
        mean_c = seen.sum_c / seen.of_c if seen.of_c else None
        mean_b = seen.sum_b / seen.of_b if seen.of_b else None
        return Tally(seen.of_c, seen.bad_c, mean_c), Tally(seen.of_b, 0, mean_b)
    if metric.is_quantile:
        return (
            Tally(seen.of_c, seen.bad_c, quantile(seen.sketch_c, metric.q)),
            Tally(seen.of_b, seen.bad_b, quantile(seen.sketch_b, metric.q)),
        )
    turned = metric.better is Better.HIGHER
    return _tally(seen.of_c, seen.bad_c, turned), _tally(seen.of_b, seen.bad_b, turned)


def _tally(of: int, bad: int, turned: bool) -> Tally:
    count = of - bad if turned else bad
    return Tally(of, count, count / of if of else None)


def _estimate(
    metric: Metric, sequence: Sequence, seen: Seen, candidate: Tally, baseline: Tally
) -> float | None:
    if metric.is_reading:
        found = middle(metric, sequence.rows, seen)
        turned = metric.better is Better.HIGHER
        return _turned(metric, found) if turned else found
    if metric.compare is Compare.NONE:
        return candidate.estimate
    if candidate.estimate is None or baseline.estimate is None:
        return None
    if metric.is_quantile:
        return candidate.estimate / baseline.estimate
    return candidate.estimate - baseline.estimate


def _limit(metric: Metric) -> float:
    if metric.limit is not None:
        return metric.limit
    if metric.is_quantile or metric.is_reading:
        worse = 1 + metric.margin_relative
        limit = worse if metric.goal is Goal.NON_INFERIOR else 1 / worse
        return 1 / limit if metric.better is Better.HIGHER else limit
    return -metric.fail_at if metric.better is Better.HIGHER else metric.fail_at


def _turned(metric: Metric, bound: float | None) -> float | None:
    if bound is None:
        return None
    if metric.is_reading:
        return -bound if metric.compare is Compare.NONE else round(1 / bound, 6)
    return round(1 - bound, 9) if metric.compare is Compare.NONE else -bound


def _e_value(logarithm: float) -> float:
    return float(f"{min(math.exp(min(logarithm, 100.0)), _MOST):.4g}")

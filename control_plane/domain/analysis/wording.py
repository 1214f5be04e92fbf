"""What a look found, in words."""

from __future__ import annotations

from control_plane.domain.analysis.counting import Seen
from control_plane.domain.analysis.metric import SHADOWS, Better, Compare, Kind, Metric, Unit
from control_plane.domain.analysis.sequence import Sequence
from control_plane.domain.latency import quantile
from control_plane.domain.routing.fields import duration_text


def percent(share: float) -> str:
    """A share as people read it.

    >>> [percent(x) for x in (0.0123, 0.5, 0.00004, 0)]
    ['1.23 %', '50 %', '0.004 %', '0 %']
    """
    return f"{100 * share:.3g} %"


def points(difference: float) -> str:
    """A difference of two shares, in percentage points.

    >>> [points(x) for x in (0.005, -0.0123, 0.01)]
    ['+0.5 points', '-1.23 points', '+1 point']
    """
    said = f"{100 * difference:+.3g}"
    return f"{said} point" if said[1:] == "1" else f"{said} points"


def milliseconds(us: float) -> str:
    """A latency as people read it.

    >>> [milliseconds(us) for us in (1234.5, 99_500)]
    ['1.23 ms', '99.5 ms']
    """
    return f"{us / 1000:.3g} ms"


def unit_text(metric: Metric) -> str:
    """What counts as one piece of evidence."""
    if metric.unit is not Unit.BLOCK:
        return "request" if metric.unit is Unit.REQUEST else "sticky key"
    paired = "block" if metric.compare is Compare.NONE else "paired block"
    return f"{paired} of {duration_text(metric.block)}"


def verdict_reason(metric: Metric, seen: Seen, sequence: Sequence, worse: bool) -> str:
    """Why a metric failed or passed: what was counted, and which bound crossed what."""
    rows = sequence.rows
    limit = float(rows.labels[rows.fail_row if worse else rows.pass_row])
    if metric.is_reading:
        return f"{told(metric, seen)}; {_read_reason(metric, limit, worse)}"
    more = worse == (metric.better is Better.LOWER)
    if metric.is_quantile:
        if metric.compare is Compare.NONE:
            return f"{told(metric, seen)}; shown to be {_side(more)} {milliseconds(limit)}"
        says = f"{'more' if more else 'less'} than {limit:.3g} times the baseline's"
        return f"{told(metric, seen)}; shown to be {says}"
    if metric.compare is Compare.NONE:
        limit = 1 - limit if metric.better is Better.HIGHER else limit
        return f"{told(metric, seen)}; shown to be {_side(more)} {percent(limit)}"
    limit = -limit if metric.better is Better.HIGHER else limit
    says = f"the difference is shown to be {'more' if more else 'less'} than {points(limit)}"
    return f"{told(metric, seen)}; {says}"


def told(metric: Metric, seen: Seen) -> str:
    """Both arms' shares or quantiles, as far as there are any."""
    if metric.is_reading:
        return _read(metric, seen)
    if not seen.of_c:
        return f"counted for the candidate so far: no {_noun(metric)}"
    than = _than(metric)
    candidate = f"candidate {_figure(metric, seen, candidate=True)} of {seen.of_c:,}{than}"
    if metric.compare is Compare.NONE:
        return candidate
    if not seen.of_b:
        return f"{candidate}; counted for the baseline so far: no {_noun(metric)}"
    return f"{candidate}, baseline {_figure(metric, seen, candidate=False)} of {seen.of_b:,}"


def _read(metric: Metric, seen: Seen) -> str:
    """What blocks were read, and what their figures were in the mean."""
    if not seen.of_c:
        return f"no block of {duration_text(metric.block)} could be read yet"
    candidate = f"candidate {_said(metric, seen.sum_c / seen.of_c)}"
    blocks = f"bad in {seen.bad_c:,} of {seen.of_c:,} blocks"
    if metric.compare is Compare.NONE:
        return f"{candidate}, {blocks}"
    return f"{candidate}, baseline {_said(metric, seen.sum_b / seen.of_b)}, {blocks}"


def _read_reason(metric: Metric, limit: float, worse: bool) -> str:
    blocks = "most blocks" if metric.q == 0.5 else f"{100 * metric.q:g} of 100 blocks"
    more = worse == (metric.better is Better.LOWER)
    if metric.compare is Compare.NONE:
        limit = -limit if metric.better is Better.HIGHER else limit
        where = "not within" if worse else "within"
        return f"shown to be {where} {_said(metric, limit)} in {blocks}"
    limit = 1 / limit if metric.better is Better.HIGHER else limit
    side = "more" if more else "less"
    if metric.q == 0.5:
        return f"shown to be {side} than {limit:.3g} times the baseline's in {blocks}"
    where = "not within" if worse else "within"
    return f"shown to be {where} {limit:.3g} times the baseline's in {blocks}"


def _said(metric: Metric, figure: float) -> str:
    return milliseconds(figure) if metric.kind is Kind.QUEUE_TIME else reading(figure)


def reading(value: float) -> str:
    """A figure of which the unit is not known.

    >>> [reading(x) for x in (1234.5, 0.00123)]
    ['1,234', '0.00123']
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _figure(metric: Metric, seen: Seen, *, candidate: bool) -> str:
    if metric.is_quantile:
        us = quantile(seen.sketch_c if candidate else seen.sketch_b, metric.q)
        return f"p{100 * metric.q:g} {milliseconds(us or 0)}"
    of, bad = (seen.of_c, seen.bad_c) if candidate else (seen.of_b, seen.bad_b)
    return percent((of - bad if metric.better is Better.HIGHER else bad) / of)


def _than(metric: Metric) -> str:
    """What the answers that are counted are surer than."""
    if metric.kind is not Kind.CONFIDENCE:
        return ""
    level = f"the baseline's p{100 * metric.q:g}" if metric.level is None else percent(metric.level)
    return f" surer than {level}"


def _side(more: bool) -> str:
    return "above" if more else "below"


def _noun(metric: Metric) -> str:
    if metric.unit is Unit.KEY:
        return "sticky key"
    if metric.kind in SHADOWS:
        return "copy of a request"
    if metric.kind is Kind.CONFIDENCE:
        return "answer of which it could be read how sure it is"
    return f"feedback on {metric.outcome!r}" if metric.kind is Kind.FEEDBACK else "request"

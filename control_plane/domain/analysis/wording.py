"""What a look found, in words."""

from __future__ import annotations

from control_plane.domain.analysis.counting import Shares
from control_plane.domain.analysis.metric import Better, Compare, Kind, Metric
from control_plane.domain.analysis.sequence import Sequence


def percent(share: float) -> str:
    """A share as people read it.

    >>> [percent(x) for x in (0.0123, 0.5, 0.00004, 0)]
    ['1.23 %', '50 %', '0.004 %', '0 %']
    """
    return f"{100 * share:.3g} %"


def points(difference: float) -> str:
    """A difference of two shares, in percentage points.

    >>> [points(x) for x in (0.005, -0.0123)]
    ['+0.5 points', '-1.23 points']
    """
    return f"{100 * difference:+.3g} points"


def verdict_reason(metric: Metric, seen: Shares, sequence: Sequence, word: str) -> str:
    """Why a metric failed or passed: what was counted, and which bound crossed what."""
    limit = sequence.fail_at if word == "worse" else sequence.pass_at
    if metric.better is Better.HIGHER:
        limit = 1 - limit if metric.compare is Compare.NONE else -limit
    if metric.compare is Compare.NONE:
        side = "above" if (word == "worse") == (metric.better is Better.LOWER) else "below"
        return f"{counted(metric, seen)}; shown to be {side} {percent(limit)}"
    side = "more" if (word == "worse") == (metric.better is Better.LOWER) else "less"
    return f"{counted(metric, seen)}; the difference is shown to be {side} than {points(limit)}"


def counted(metric: Metric, seen: Shares) -> str:
    """Both arms' shares, as far as there are any."""
    if not seen.of_c:
        return f"the candidate has had no {_noun(metric)} yet"
    candidate = f"{percent(_share(metric, seen.bad_c, seen.of_c))} of {seen.of_c:,}"
    if metric.compare is Compare.NONE:
        return f"candidate {candidate}"
    if not seen.of_b:
        return f"candidate {candidate}; the baseline has had no {_noun(metric)} yet"
    baseline = f"{percent(_share(metric, seen.bad_b, seen.of_b))} of {seen.of_b:,}"
    return f"candidate {candidate}, baseline {baseline}"


def _share(metric: Metric, bad: int, of: int) -> float:
    return (of - bad if metric.better is Better.HIGHER else bad) / of


def _noun(metric: Metric) -> str:
    return f"feedback on {metric.outcome!r}" if metric.kind is Kind.FEEDBACK else "request"

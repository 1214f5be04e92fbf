"""A metric that notices any shift of the answers' confidence, as the metrics that it stands for.

`"better": "same"` takes neither surer nor less sure answers for good. What one share cannot see,
another does: it becomes two metrics at each of three quantiles of the baseline's, one that fails
where answers are less sure and one where they are surer. They share its weight, and so its part of
alpha (Bonferroni): whichever fails, the whole errs no more often than one metric would.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from control_plane.domain.analysis.metric import Better, Compare, Goal, Kind, Metric
from control_plane.domain.analysis.read_metric import read_metric
from control_plane.domain.routing.fields import Fields
from control_plane.domain.violations import Violation

SAME = "same"
QUANTILES = (0.1, 0.5, 0.9)

_SIDES = {Better.HIGHER: "lower", Better.LOWER: "higher"}
"""What is better, and what the metric notices then."""


def read_metrics(raw: object, where: str, found: list[Violation]) -> list[Metric]:
    """The metrics that one entry of a document stands for; what is wrong goes to `found`."""
    if not isinstance(raw, Mapping) or raw.get("better") != SAME:
        return [read_metric(raw, where, found)]
    if raw.get("kind") != Kind.CONFIDENCE:
        return [read_metric(raw, where, found)]
    before = len(found)
    fields = Fields(raw, where, found, "a metric", set(raw))
    for field in ("q", "level", "limit", "alternative"):
        if fields.get(field) is not None:
            detail = f"{field}: any shift is looked for at several quantiles of the baseline's"
            fields.note(field, "conflict", detail)
    if raw.get("compare") == Compare.NONE:
        fields.note("compare", "conflict", "the same as what? compare with the baseline or a twin")
    if raw.get("goal") == Goal.SUPERIOR:
        fields.note("goal", "conflict", "what has to stay the same cannot be better")
    if len(found) > before:
        return []
    metrics = []
    for part in _parts(raw):
        wrong: list[Violation] = []
        metrics.append(read_metric(part, where, wrong))
        # Each is wrong in the same way: it is said once.
        if wrong:
            found += wrong
            return []
    return metrics


def _parts(raw: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    name, weight = raw.get("name"), raw.get("weight")
    shared = len(QUANTILES) * len(_SIDES)
    weighed = 1.0 if weight is None else weight
    part = weighed / shared if isinstance(weighed, int | float) else weighed
    for q in QUANTILES:
        for better, side in _SIDES.items():
            called = f"{name} {side} at p{100 * q:g}" if isinstance(name, str) and name else name
            yield {**raw, "name": called, "q": q, "better": better.value, "weight": part}

"""Asking Prometheus for the metrics of runs that are under way, beside their looks.

A look holds an endpoint's row and waits for nobody, so it reads here what was said. All queries of
a metric are asked as one, for one moment: what is counted of both arms is of the same scrapes.
Counters are counted up series by series, as a server's are: what one of them lost when it began
anew is not made up for, and none is counted twice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from control_plane.analysis.models import AnalysisReading, AnalysisRun
from control_plane.domain.analysis.metric import Compare, Kind, Metric
from control_plane.domain.analysis.queries import Asked, filled
from control_plane.domain.analysis.template import read_template
from control_plane.ports.prometheus import NotAnsweredError, Prometheus, Series

EVERY = timedelta(seconds=5)
BEHIND = timedelta(seconds=2)
"""A scrape bears the time at which it began, and comes in a little later."""

NO_PROMETHEUS = "no Prometheus is named: set NEREID_PROMETHEUS_URL on the control plane's workers"
PART = "nereid_part"
"""The label that tells the parts of a question apart in its answer."""

_MOST = 1e15


def ask_all(prometheus: Prometheus | None, now: datetime) -> None:
    """Asks for every metric of PromQL of the runs that are under way."""
    for run in AnalysisRun.objects.filter(ended_at=None):
        if not asks(run.template):
            continue
        for metric in read_template(run.template).metrics:
            if metric.kind is Kind.PROMQL:
                ask(run, metric, prometheus, now)


def asks(document: Mapping[str, Any]) -> bool:
    """Whether a template's document has a metric of PromQL."""
    return any(metric.get("kind") == Kind.PROMQL for metric in document.get("metrics", ()))


def ask(run: AnalysisRun, metric: Metric, prometheus: Prometheus | None, now: datetime) -> None:
    """Asks for one metric, and keeps what was said, or why nothing was."""
    row, _ = AnalysisReading.objects.get_or_create(run=run, metric=metric.name)
    before = row.asked_at
    if before is not None and now - before < EVERY / 2:
        return
    try:
        if prometheus is None:
            raise NotAnsweredError(NO_PROMETHEUS)
        _take(row, metric, prometheus.ask(_question(run, metric), now - BEHIND))
        row.answered_at, row.problem = now, ""
    except NotAnsweredError as error:
        row.problem = str(error)
    row.asked_at = now
    # Of two who asked at once the one that comes second keeps nothing: the first counted it.
    AnalysisReading.objects.filter(pk=row.pk, asked_at=before).update(
        asked_at=row.asked_at,
        answered_at=row.answered_at,
        problem=row.problem,
        series=row.series,
        totals=row.totals,
    )


def _parts(metric: Metric) -> Mapping[str, str]:
    return {"of": metric.of, "count": metric.count} if metric.of else {"value": metric.query}


def _arms(run: AnalysisRun, metric: Metric) -> dict[str, str]:
    """Which physical model is asked for, by the arm's part in the comparison."""
    if metric.compare is Compare.NONE:
        return {"candidate": run.candidate}
    twin = run.twin if metric.compare is Compare.TWIN else ""
    return {"candidate": run.candidate, "baseline": twin or run.baseline}


def _question(run: AnalysisRun, metric: Metric) -> str:
    """One query that gives every part of the metric for each arm, told apart by a label.

    Each part ends on a line of its own: a comment at its end does not swallow what follows.
    """
    parts = []
    for arm, physical in _arms(run, metric).items():
        for part, query in _parts(metric).items():
            asked = filled(query, Asked(run.endpoint, physical, metric.block))
            parts.append(f'label_replace((\n{asked}\n), "{PART}", "{arm} {part}", "", "")')
    return "\nor ".join(parts)


def _take(row: AnalysisReading, metric: Metric, found: Sequence[Series]) -> None:
    by_part: dict[str, list[Series]] = {}
    for series in found:
        by_part.setdefault(series.labels.get(PART, ""), []).append(series)
    totals = {arm: list(pair) for arm, pair in row.totals.items()}
    known = {part: dict(its) for part, its in row.series.items()}
    for arm in ("candidate", "baseline"):
        pair = totals.setdefault(arm, [0.0, 0.0])
        if metric.of:
            for place, part in enumerate(("of", "count")):
                key = f"{arm} {part}"
                first = row.answered_at is None
                pair[place] += _grown(known, key, by_part.get(key, ()), first=first)
        elif (value := _figure(by_part.get(f"{arm} value", ()), arm)) is not None:
            pair[0] += value
            pair[1] += 1
    row.totals, row.series = totals, known


def _grown(
    known: dict[str, dict[str, float]], key: str, found: Iterable[Series], *, first: bool
) -> float:
    """What the counters of a part grew by; `first`: nothing was known, and all is from before."""
    before, grown = known.get(key, {}), 0.0
    now = dict(before)
    for series in found:
        if not math.isfinite(series.value):
            continue
        name = json.dumps({k: v for k, v in sorted(series.labels.items()) if k != PART})
        was = before.get(name, series.value if first else 0.0)
        # One that went down began anew; how much it lost until then nobody knows.
        grown += max(0.0, series.value - was)
        now[name] = series.value
    known[key] = now
    return grown


def _figure(found: Sequence[Series], arm: str) -> float | None:
    """The one value of an arm; None where there is none, or it is 0 / 0.

    Raises:
        NotAnsweredError: there are several.
    """
    if len(found) > 1:
        detail = f"the query finds {len(found)} series of the {arm}, and one is wanted"
        raise NotAnsweredError(f"{detail}: aggregate, as by sum() or max()")
    if not found or math.isnan(found[0].value):
        return None
    return min(_MOST, max(-_MOST, found[0].value))

"""An analysis template's page: what it compares, how surely, who uses it, and its changes."""

from __future__ import annotations

import contextlib
import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from control_plane.analysis.models import AnalysisRun
from control_plane.analysis.selectors import KnownTemplate, template_revisions
from control_plane.console import words
from control_plane.console.rights import visible
from control_plane.domain.analysis.metric import Better, Compare, Goal, Kind, Metric
from control_plane.domain.analysis.template import (
    OnInconclusive,
    Template,
    read_template,
    to_document,
)
from control_plane.domain.routing.fields import duration_text
from control_plane.domain.violations import InvalidInputError

SHOWN = 20
"""Runs and revisions that are listed."""

_AT_THE_END = {
    OnInconclusive.PAUSE: "the rollout waits for a person",
    OnInconclusive.ABORT: "the rollout goes back",
    OnInconclusive.PROCEED: "the rollout goes on",
}


@dataclass(frozen=True)
class MetricWords:
    """One metric in words: what fails the version, and how much of alpha it may use."""

    name: str
    what: str
    fails: str
    required: bool
    alpha: str


@dataclass(frozen=True)
class Shown:
    """One revision with what it changed against the one before."""

    number: int
    created_at: datetime
    created_by: str
    diff: str


def template_context(user: Any, known: KnownTemplate) -> dict[str, Any]:
    """What the page shows of a template, built in or added."""
    template, error = _read(known)
    runs = visible(user, AnalysisRun.objects.filter(template_name=known.name))
    return {
        "known": known,
        "template": template,
        "unreadable": error,
        "document_text": template_text(known.document),
        "metrics": [metric_words(template, metric) for metric in template.metrics]
        if template
        else [],
        "facts": _facts(template) if template else [],
        "used": runs.defer("state", "cursors", "template")[:SHOWN],
        "used_count": runs.count(),
    }


def _read(known: KnownTemplate) -> tuple[Template | None, str]:
    try:
        return known.template, ""
    except InvalidInputError as error:
        return None, str(error)


def metric_words(template: Template, metric: Metric) -> MetricWords:
    """What a metric is about, for people who did not write it."""
    return MetricWords(
        name=metric.name,
        what=_what(metric),
        fails=_fails(metric),
        required=metric.required,
        alpha=words.percent(100 * template.alpha_of(metric)),
    )


def _what(metric: Metric) -> str:
    about = metric.kind.value.replace("_", " ")
    if metric.is_quantile:
        first = metric.kind is Kind.FIRST_RESPONSE_QUANTILE
        about = f"p{100 * metric.q:g} of the {'first response' if first else 'latency'}"
    if metric.kind is Kind.SLA_VIOLATIONS:
        about = f"share slower than {duration_text(metric.latency)}"
    if metric.kind is Kind.FEEDBACK:
        about = f"feedback “{metric.outcome}”, {metric.better.value} is better"
    if metric.kind is Kind.CONFIDENCE:
        than = f"the p{100 * metric.q:g}" if metric.level is None else _percent(metric.level)
        about = f"share of answers surer than {than}, {metric.better.value} is better"
    if metric.kind is Kind.PROMQL:
        about = f"{metric.count} of {metric.of}" if metric.of else metric.query
    if metric.compare is Compare.NONE:
        return f"{about}, of the candidate alone"
    return f"{about}, compared with the {metric.compare.value} beside it"


def _fails(metric: Metric) -> str:
    if metric.kind is Kind.PERF_REGRESSION:
        tolerated = _percent(metric.margin_relative)
        return (
            f"bad when its last perf run is slower than the accepted one by more than {tolerated}"
        )
    if metric.kind is Kind.BURN_RATE:
        budget = "its model's" if metric.objective is None else f"a {metric.objective:g} %"
        return f"bad above {words.number(metric.rate)} times the pace of {budget} error budget"
    if metric.limit is not None:
        limit = _limit(metric, metric.limit)
        return f"bad {'below' if metric.better is Better.HIGHER else 'above'} {limit}"
    points = words.points(words.number(100 * metric.margin)) if metric.margin else ""
    margin = _percent(metric.margin_relative) if metric.margin_relative else points
    if metric.goal is Goal.SUPERIOR:
        return f"has to be better by more than {margin}" if margin else "has to be better"
    return f"bad when worse by more than {margin}" if margin else "bad when worse at all"


def _limit(metric: Metric, limit: float) -> str:
    if metric.is_quantile or metric.kind is Kind.QUEUE_TIME:
        return duration_text(round(limit))
    return words.number(limit) if metric.is_reading else _percent(limit)


def _percent(share: float) -> str:
    return words.percent(100 * share)


def _facts(template: Template) -> list[tuple[str, str]]:
    interval = timedelta(microseconds=template.interval)
    limit = timedelta(microseconds=template.inconclusive_after)
    return [
        (
            "Alpha",
            f"{words.percent(100 * template.alpha)}: the chance of ever failing a good version",
        ),
        ("A look", f"every {words.lasting(interval)}"),
        ("Time to decide", f"{words.lasting(limit)}; then {_AT_THE_END[template.on_inconclusive]}"),
        ("Not measured", f"{template.error_limit} looks in a row end it as Error"),
        *([("Dry run", "it measures, and decides nothing")] if template.dry_run else []),
    ]


def revisions_of(name: str) -> list[Shown]:
    """The newest revisions, each with its difference to the one before."""
    rows = list(template_revisions(name)[: SHOWN + 1])
    older: list[Any] = [*rows[1:], None]
    return [
        Shown(row.number, row.created_at, row.created_by, _diff(name, before, row))
        for row, before in zip(rows[:SHOWN], older[:SHOWN], strict=False)
    ]


def template_text(document: Mapping[str, Any]) -> str:
    """The document as people read and write it, in the order of the reference."""
    # One that is of long ago and refused by now is shown as it is.
    with contextlib.suppress(InvalidInputError):
        document = to_document(read_template(dict(document)))
    return json.dumps(document, indent=2, ensure_ascii=False)


def _diff(name: str, before: Any, row: Any) -> str:
    old = template_text(before.document).splitlines() if before is not None else []
    new = template_text(row.document).splitlines()
    source = "/dev/null" if before is None else f"a/{name}.json"
    return "\n".join(difflib.unified_diff(old, new, source, f"b/{name}.json", lineterm=""))

"""An analysis template: which metrics are compared, how, and how sure one has to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from control_plane.domain.analysis.any_shift import read_metrics
from control_plane.domain.analysis.metric import Kind, Metric
from control_plane.domain.analysis.read_metric import metric_document
from control_plane.domain.routing.fields import Fields, duration_text
from control_plane.domain.routing.policy import SECOND
from control_plane.domain.stored_json import check_storable
from control_plane.domain.violations import InvalidInputError, Violation

MAX_METRICS = 20

_MINUTE = 60 * SECOND
_FIELDS = {
    "alpha",
    "metrics",
    "interval",
    "inconclusiveAfter",
    "onInconclusive",
    "errorLimit",
    "dryRun",
}


class OnInconclusive(StrEnum):
    """What a rollout does when the time is up and nothing was decided."""

    PAUSE = "pause"
    ABORT = "abort"
    PROCEED = "proceed"


@dataclass(frozen=True)
class Template:
    """What an analysis run goes by.

    `alpha` bounds the chance that the run ever fails a version that is as good as it should be,
    over all metrics and looks together; and, on its own, the chance that it passes one that is
    not. Times are microseconds. So many looks in a row without a measurement as `error_limit`
    end the run as an error.
    """

    metrics: tuple[Metric, ...]
    alpha: float = 0.05
    interval: int = SECOND
    inconclusive_after: int = 30 * _MINUTE
    on_inconclusive: OnInconclusive = OnInconclusive.PAUSE
    error_limit: int = 10
    dry_run: bool = False

    def alpha_of(self, metric: Metric) -> float:
        """The share of alpha by which this metric alone may fail the run.

        Any metric that decides can fail the run, so these share alpha by their weights
        (Bonferroni); what only informs is told with the whole of it, and what compares two
        measurements has no part in it.
        """
        if not metric.required:
            return self.alpha
        if metric.kind is Kind.PERF_REGRESSION:
            return self.alpha
        sharing = (m for m in self.metrics if m.required and m.kind is not Kind.PERF_REGRESSION)
        return self.alpha * metric.weight / sum(m.weight for m in sharing)


DEFAULT_DOCUMENT: Mapping[str, Any] = {
    "alpha": 0.05,
    "metrics": [
        {
            "name": "errors",
            "kind": "error_rate",
            "compare": "baseline",
            "goal": "non_inferior",
            "margin": 0.005,
        }
    ],
    "interval": "1s",
    "inconclusiveAfter": "30m",
    "onInconclusive": "pause",
}
"""The template `default`, which is there before anybody wrote one."""

SHADOW_DOCUMENT: Mapping[str, Any] = {
    "alpha": 0.05,
    "metrics": [
        {"name": "errors", "kind": "shadow_errors", "compare": "baseline", "margin": 0.005},
        {
            "name": "disagreement",
            "kind": "shadow_disagreement",
            "limit": 0.1,
            "required": False,
        },
        {
            "name": "p99",
            "kind": "shadow_latency_quantile",
            "q": 0.99,
            "compare": "baseline",
            "marginRelative": 0.25,
            "required": False,
        },
    ],
    "interval": "1s",
    "inconclusiveAfter": "30m",
    "onInconclusive": "pause",
}
"""The template `shadow`, for copies of requests.

Failing copies decide; the others are shown. A better version answers otherwise by design, and how
much slower it may be only its people know: who does makes them required.
"""


def read_template(document: object) -> Template:
    """Reads and checks a template's document.

    Raises:
        InvalidInputError: with one violation per broken rule, each with its JSON pointer.
    """
    check_storable(document)
    found: list[Violation] = []
    fields = Fields(document, "", found, "an analysis template", _FIELDS)
    if not isinstance(document, dict):
        raise InvalidInputError(found)
    metrics = tuple(
        metric
        for where, raw in fields.list("metrics", MAX_METRICS)
        for metric in read_metrics(raw, where, found)
    )
    if len(metrics) > MAX_METRICS:
        detail = f"{len(metrics)} metrics with those that others stand for; {MAX_METRICS} at most"
        fields.note("metrics", "too_many", detail)
    if not metrics and not found:
        fields.note("metrics", "required", "a template has at least one metric")
    for name, times in Counter(metric.name for metric in metrics).items():
        if times > 1 and name:
            fields.note("metrics", "duplicate", f"{times} metrics are called {name!r}")
    if metrics and not any(metric.required for metric in metrics):
        detail = "no metric is required, so nothing could be decided: require one at least"
        fields.note("metrics", "required", detail)
    given = Template(metrics)
    template = Template(
        metrics=metrics,
        alpha=fields.number("alpha", 1e-6, 0.5) or given.alpha,
        interval=fields.duration("interval", SECOND, 60 * _MINUTE) or given.interval,
        inconclusive_after=fields.duration("inconclusiveAfter", SECOND, 30 * 24 * 60 * _MINUTE)
        or given.inconclusive_after,
        on_inconclusive=fields.choice("onInconclusive", given.on_inconclusive),
        error_limit=fields.whole("errorLimit", given.error_limit, 1, 100_000),
        dry_run=fields.flag("dryRun", given.dry_run),
    )
    if found:
        raise InvalidInputError(found)
    return template


def to_document(template: Template) -> dict[str, Any]:
    """The JSON form with every value in force; `read_template` reads it back."""
    return {
        "alpha": template.alpha,
        "metrics": [metric_document(metric) for metric in template.metrics],
        "interval": duration_text(template.interval),
        "inconclusiveAfter": duration_text(template.inconclusive_after),
        "onInconclusive": template.on_inconclusive.value,
        "errorLimit": template.error_limit,
        "dryRun": template.dry_run,
    }

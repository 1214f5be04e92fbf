"""What a run of an analysis measured, metric by metric, as its page and the rollout's show it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from control_plane.analysis.models import AnalysisLook, AnalysisRun, Phase
from control_plane.console import words
from control_plane.console.evidence_chart import (
    BINS,
    EvidenceChart,
    Limit,
    Reading,
    bounds_said,
    evidence_chart,
)
from control_plane.domain.analysis.wording import reading

UNDECIDED = "Undecided"
_HIGHER = "higher"
_ASKED = "promql"
_ALONE = "none"
_COUNTED = {
    "error_rate": "failed",
    "latency_quantile": "slower",
    "first_response_quantile": "slower",
    "shadow_disagreement": "disagree",
    "shadow_errors": "failed",
    "shadow_latency_quantile": "slower",
    "sla_violations": "too slow",
    "burn_rate": "failed",
    "perf_regression": "slower levels",
    "promql": "bad",
    "confidence": "surer",
}
_AGAINST = {
    "baseline": "the baseline beside it",
    "twin": "a twin of the baseline, as small as the candidate",
    _ALONE: "nothing: alone against its limit",
}
_BEYOND = 1_000_000
"""Evidence beyond that is not told apart: it was enough long before."""

_HARDLY = 0.01
"""Below that a stake is lost, however little of it is left."""

_LEVELS = {"ratio": 1.0}
"""Where nothing differs, on each scale; 0 on the others."""

_RANGES = {
    "difference": (-1.0, 1.0),
    "share": (0.0, 1.0),
    "ratio": (0.0, math.inf),
    "microseconds": (0.0, math.inf),
}
"""What a figure of each scale can be."""


@dataclass(frozen=True)
class Arm:
    """One arm's counts since the run began; `count` None: of this arm alone there is none."""

    name: str
    of: int
    count: int | None
    estimate: str


@dataclass(frozen=True)
class Meter:
    """How far evidence has come to where it is enough, on a scale of its logarithm."""

    label: str
    value: str
    percent: float
    kind: str


@dataclass(frozen=True)
class MetricView:
    """One metric: what was counted, what is known by now, what follows and why."""

    name: str
    kind: str
    phase: str
    reason: str
    required: bool
    trials: str
    counted: str
    measured: str
    against: str
    unit: str
    arms: list[Arm]
    limit: str
    known: str
    meters: list[Meter]
    chart: EvidenceChart


@dataclass(frozen=True)
class RunView:
    """A run with its metrics; `looks` is how many were taken."""

    run: AnalysisRun
    title: str
    phase: str
    reason: str
    looks: int
    metrics: list[MetricView]


def run_view(run: AnalysisRun, title: str = "") -> RunView:
    """Reads the evidence of a run: one query, however many looks it took."""
    looks = drawn_looks(run)
    until = run.ended_at or (looks[-1].at if looks else run.began_at)
    last: Mapping[str, Any] = looks[-1].document if looks else {}
    metrics = [_metric(run, each, looks, until) for each in last.get("metrics", ())]
    return RunView(run, title or run.template_name, run.phase, run.reason, run.looks_taken, metrics)


def drawn_looks(run: AnalysisRun) -> list[AnalysisLook]:
    """Looks spread over the run, with its first and its last: as many as a picture has steps."""
    taken = run.looks_taken
    stride = max(1, math.ceil(taken / BINS))
    numbers = {1, taken, *range(taken, 0, -stride)}
    return list(run.looks.filter(number__in=numbers).order_by("number"))


def _metric(
    run: AnalysisRun, last: Mapping[str, Any], looks: Sequence[AnalysisLook], until: datetime
) -> MetricView:
    say = _SAYERS.get(last["scale"], words.number)
    readings = list(_readings(looks, last["name"]))
    limit = _limit(last)
    return MetricView(
        name=last["name"],
        kind=last["kind"].replace("_", " "),
        phase=_phase(run, last),
        reason=last["reason"],
        required=last["required"],
        trials="Blocks" if _is_reading(last) else "Of",
        counted=_counted(run, last),
        measured=_measured(last),
        against=_AGAINST.get(last["compare"], last["compare"]),
        unit=last["unit"],
        arms=_arms(last),
        limit=say(last["limit"]),
        known=bounds_said(readings[-1], say),
        meters=_meters(last),
        chart=evidence_chart(readings, limit, say, run.began_at, until),
    )


def _phase(run: AnalysisRun, last: Mapping[str, Any]) -> str:
    """The metric's own; what ran when the run had ended for another reason runs no more."""
    phase = str(last["phase"])
    return UNDECIDED if run.ended_at and phase == Phase.RUNNING else phase


def _limit(last: Mapping[str, Any]) -> Limit:
    scale = last["scale"]
    least, most = _RANGES.get(scale, (-math.inf, math.inf))
    return Limit(last["limit"], last["better"] != _HIGHER, _LEVELS.get(scale, 0.0), least, most)


def _readings(looks: Iterable[AnalysisLook], name: str) -> Iterable[Reading]:
    for look in looks:
        for each in look.document.get("metrics", ()):
            if each["name"] == name:
                yield Reading(look.at, each["lower"], each["upper"], each["estimate"])


def _counted(run: AnalysisRun, last: Mapping[str, Any]) -> str:
    """What the second column counts: failed, correct, slow."""
    if _is_reading(last):
        return "bad"
    if last["kind"] in _COUNTED:
        return _COUNTED[last["kind"]]
    metrics: Sequence[Mapping[str, Any]] = run.template.get("metrics", ())
    said: Mapping[str, Any] = next(
        (each for each in metrics if each.get("name") == last["name"]), {}
    )
    return str(said.get("outcome") or last["name"])


def _arms(last: Mapping[str, Any]) -> list[Arm]:
    names = ("candidate",) if last["compare"] == _ALONE else ("candidate", "baseline")
    say = _share
    if last["scale"] in ("ratio", "microseconds", "value"):
        say = _figure if last["kind"] == _ASKED else words.microseconds
    # A block is bad by what the candidate did in it beside the baseline: it is never the latter's.
    bad_together = _is_reading(last)
    return [
        Arm(
            name,
            last[name]["of"],
            None if bad_together and name == "baseline" else last[name]["count"],
            say(last[name]["estimate"]),
        )
        for name in names
    ]


def _measured(last: Mapping[str, Any]) -> str:
    """What the column of the arms' figures is called."""
    if _is_reading(last):
        return "Mean"
    return "Quantile" if last["kind"].endswith("_quantile") else "Share"


def _is_reading(last: Mapping[str, Any]) -> bool:
    """Whether blocks of time have a figure each, and no requests are counted."""
    asked_figure = last["kind"] == _ASKED and last["scale"] in ("ratio", "value")
    return last["kind"] == "queue_time" or asked_figure


def _figure(value: float | None) -> str:
    return "–" if value is None else reading(value)  # noqa: RUF001 - nothing is known yet


def _meters(last: Mapping[str, Any]) -> list[Meter]:
    return [
        _meter("that it is good enough", last["for_passing"], last["needed_for_passing"], "good"),
        _meter("that it is too bad", last["statistic"], last["needed"], "bad"),
    ]


def _meter(label: str, value: float, needed: float, kind: str) -> Meter:
    """An e-value of 1 is no evidence, `needed` is enough: what a stake of 1 has become."""
    reached = math.log(max(value, 1.0)) / math.log(needed) if needed > 1 else 1.0
    said = f"{_short(value)} of {_short(needed)}"
    return Meter(label, said, round(100 * min(1.0, reached), 1), kind)


def _short(value: float) -> str:
    if value >= _BEYOND:
        return f"over {_BEYOND:,}"
    if 0 < value < _HARDLY:
        return f"under {_HARDLY}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _share(value: float | None) -> str:
    return words.percent(None if value is None else 100 * value)


def _points(value: float) -> str:
    return words.points(_signed(100 * value))


def _times(value: float) -> str:
    return f"{words.number(value)} ×"  # noqa: RUF001 - the sign for times


def _signed(value: float) -> str:
    text = words.number(abs(value))
    if text == "0":
        return "0"
    return f"{'+' if value > 0 else '−'}{text}"  # noqa: RUF001 - a minus as wide as the plus


_SAYERS: Mapping[str, Callable[[float], str]] = {
    "difference": _points,
    "share": _share,
    "ratio": _times,
    "microseconds": words.microseconds,
    "value": reading,
}
"""How figures of a scale are said."""

"""An analysis run, look by look: `(template, state, evidence) -> (state, look)`.

A look may be taken at any time and as often as one likes: what the run guarantees holds at every
look together (`sequence`). It ends as soon as it can: failed when any required metric is shown to
be bad, successful when all of them are shown to be good, as an error when it could not be measured
too often in a row, inconclusive when the time is up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from control_plane.domain.analysis.counting import (
    Recent,
    Seen,
    counted,
    recent_from,
    seen_from,
)
from control_plane.domain.analysis.evidence import Evidence, Told
from control_plane.domain.analysis.judging import judged
from control_plane.domain.analysis.looks import Look, MetricLook, Phase
from control_plane.domain.analysis.metric import Compare, Kind, Metric
from control_plane.domain.analysis.perf_regression import compared, judged_perf
from control_plane.domain.analysis.readings import OpenBlock, block_from, figures, read_block
from control_plane.domain.analysis.rows import rows_of
from control_plane.domain.analysis.sequence import Sequence, start
from control_plane.domain.analysis.template import Template


class RunEndedError(RuntimeError):
    """The run has its verdict already: another look would be a new run."""


@dataclass(frozen=True)
class MetricState:
    """One metric between looks: all counts, the baseline's latest, the stakes, an open block."""

    seen: Seen
    recent: Recent
    sequence: Sequence
    block: OpenBlock = field(default_factory=OpenBlock)


@dataclass(frozen=True)
class RunState:
    """A run between looks; `errors` counts looks in a row that measured nothing."""

    phase: Phase
    began_at: datetime | None
    looks: int
    errors: int
    metrics: Mapping[str, MetricState]

    def to_document(self) -> dict[str, Any]:
        """The state as JSON; `state_from_document` reads it back."""
        return {
            "phase": self.phase.value,
            "began_at": self.began_at and self.began_at.isoformat(),
            "looks": self.looks,
            "errors": self.errors,
            "metrics": {
                name: {
                    "seen": metric.seen.to_document(),
                    "recent": metric.recent.to_document(),
                    "sequence": metric.sequence.to_document(),
                    "block": metric.block.to_document(),
                }
                for name, metric in self.metrics.items()
            },
        }


def begin(template: Template, began_at: datetime | None = None) -> RunState:
    """A run before its first look; its time counts from there where no beginning is given."""
    metrics = {
        metric.name: MetricState(Seen(), Recent(), start(rows_of(metric)))
        for metric in template.metrics
    }
    return RunState(Phase.RUNNING, began_at, 0, 0, metrics)


def state_from_document(template: Template, document: Mapping[str, Any]) -> RunState:
    """The state that `to_document` wrote, for the template of that run."""
    began_at = document["began_at"]
    return RunState(
        phase=Phase(document["phase"]),
        began_at=datetime.fromisoformat(began_at) if began_at else None,
        looks=document["looks"],
        errors=document["errors"],
        metrics={
            metric.name: _kept(metric, document["metrics"][metric.name])
            for metric in template.metrics
        },
    )


def look(
    template: Template,
    state: RunState,
    evidence: Evidence | None,
    now: datetime,
    *,
    may_pass: bool = True,
) -> tuple[RunState, Look]:
    """One look: what is new is added, and the run is judged.

    Args:
        evidence: what was new since the last look; None when it could not be measured.
        may_pass: whether it ends where everything is shown to be good; else it goes on, for it is
            there to see what turns bad.

    Raises:
        RunEndedError: the run has its verdict.
    """
    if state.phase.ended:
        raise RunEndedError(f"the run has ended as {state.phase}: begin another")
    began_at = state.began_at or now
    missing = _missing(template, evidence)
    errors = state.errors + 1 if missing is not None else 0
    metrics = dict(state.metrics)
    if evidence is not None:
        for metric in template.metrics:
            metrics[metric.name] = _after(metrics[metric.name], metric, evidence)
    found = tuple(_judged(template, m, metrics[m.name], evidence) for m in template.metrics)
    elapsed = now - began_at
    phase, reason = _verdict(template, found, errors, missing or "", elapsed)
    if phase is Phase.SUCCESSFUL and not may_pass:
        phase, reason = Phase.RUNNING, f"good so far: {reason}"
    state = RunState(phase, began_at, state.looks + 1, errors, metrics)
    seconds = round(elapsed.total_seconds(), 3)
    return state, Look(state.looks, phase, reason, seconds, found)


def _judged(
    template: Template, metric: Metric, state: MetricState, evidence: Evidence | None
) -> MetricLook:
    if metric.kind is Kind.PERF_REGRESSION:
        words = evidence.perf.words if evidence and evidence.perf else ""
        return judged_perf(metric, state.seen, words)
    return judged(
        metric,
        state.seen,
        state.sequence,
        alpha=template.alpha_of(metric),
        passing=template.alpha,
        compared=_compared(metric, evidence),
    )


def _missing(template: Template, evidence: Evidence | None) -> str | None:
    """Why this look measures nothing that decides, as far as that is known; None: it does."""
    if evidence is None:
        return ""
    required = [metric.name for metric in template.metrics if metric.required]
    why = [f"{n}: {evidence.unmeasured[n]}" for n in required if n in evidence.unmeasured]
    return "; ".join(why) if why else None


def _after(state: MetricState, metric: Metric, evidence: Evidence) -> MetricState:
    seconds = evidence.seconds
    if metric.kind is Kind.PERF_REGRESSION:
        beside = evidence.perf
        known = beside is not None and beside.levels
        return replace(state, seen=compared(metric, beside).seen) if known and beside else state
    if metric.kind is Kind.PROMQL:
        if metric.name not in evidence.told:
            return state
        seconds = evidence.told[metric.name].seconds
    if metric.is_reading:
        return _read(state, metric, figures(metric, evidence))
    new, counts, rates = counted(metric, state.recent, evidence)
    sequence = state.sequence
    if counts is not None:
        sequence = sequence.after(counts, rates, seconds)
    return MetricState(state.seen.plus(new), state.recent.plus(new), sequence)


def _read(state: MetricState, metric: Metric, told: Told) -> MetricState:
    block, reading = read_block(metric, state.sequence.rows, state.block, told)
    if reading is None:
        return replace(state, block=block)
    sequence = state.sequence.after(reading.counts, np.zeros(1))
    return MetricState(state.seen.plus(reading.seen), state.recent, sequence, block)


def _kept(metric: Metric, document: Mapping[str, Any]) -> MetricState:
    return MetricState(
        seen_from(document["seen"]),
        recent_from(document["recent"]),
        start(rows_of(metric)).with_document(document["sequence"]),
        block_from(document.get("block", {})),
    )


def _compared(metric: Metric, evidence: Evidence | None) -> str:
    if metric.compare is Compare.TWIN and evidence is not None and evidence.twin is None:
        return Compare.BASELINE.value
    return metric.compare.value


def _verdict(
    template: Template,
    found: tuple[MetricLook, ...],
    errors: int,
    missing: str,
    elapsed: timedelta,
) -> tuple[Phase, str]:
    required = [each for each in found if each.required]
    for each in required:
        if each.phase is Phase.FAILED:
            return Phase.FAILED, f"{each.name}: {each.reason}"
    if all(each.phase is Phase.SUCCESSFUL for each in required):
        return Phase.SUCCESSFUL, "; ".join(f"{each.name}: {each.reason}" for each in required)
    why = f" ({missing})" if missing else ""
    if errors >= template.error_limit:
        often = "" if errors == 1 else f" {errors} times in a row"
        return Phase.ERROR, f"could not be measured{often}{why}"
    waiting = [each for each in required if each.phase is Phase.RUNNING]
    said = "; ".join(f"{each.name}: {each.reason}" for each in waiting)
    if elapsed >= timedelta(microseconds=template.inconclusive_after):
        return Phase.INCONCLUSIVE, f"time is up, and the evidence decides nothing: {said}"
    if errors:
        how_often = "just now" if errors == 1 else f"{errors} times in a row"
        return Phase.RUNNING, f"could not be measured {how_often}{why}; {said}"
    return Phase.RUNNING, said

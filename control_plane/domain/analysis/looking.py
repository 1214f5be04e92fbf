"""An analysis run, look by look: `(template, state, evidence) -> (state, look)`.

A look may be taken at any time and as often as one likes: what the run guarantees holds at every
look together (`sequence`). It ends as soon as it can: failed when any required metric is shown to
be bad, successful when all of them are shown to be good, as an error when it could not be measured
too often in a row, inconclusive when the time is up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from control_plane.domain.analysis.counting import Shares, from_document, shares
from control_plane.domain.analysis.evidence import Evidence
from control_plane.domain.analysis.looks import Look, MetricLook, Phase, Tally
from control_plane.domain.analysis.metric import Better, Compare, Metric
from control_plane.domain.analysis.sequence import Sequence, start
from control_plane.domain.analysis.template import Template
from control_plane.domain.analysis.two_rates import Array, Counts
from control_plane.domain.analysis.wording import counted, verdict_reason

FIRST_RATES = np.array([0.0005, 0.002, 0.01, 0.05, 0.2])
"""What the baseline's rate may be before anything was seen of it."""

_REMEMBERED = 20_000
"""So many of the baseline's last requests say what rate to expect of it next."""

_GUESS_BAD, _GUESS_OF = 0.5, 50.0
_MOST = 1e12


class RunEndedError(RuntimeError):
    """The run has its verdict already: another look would be a new run."""


@dataclass(frozen=True)
class MetricState:
    """One metric between looks: all counts, the baseline's latest, and the stakes."""

    seen: Shares
    recent_of: float
    recent_bad: float
    sequence: Sequence


@dataclass(frozen=True)
class RunState:
    """A run between looks; `errors` counts looks in a row that measured nothing."""

    phase: Phase
    began_at: datetime | None
    looks: int
    errors: int
    metrics: Mapping[str, MetricState]

    def to_document(self) -> dict[str, Any]:
        """The state as JSON; `from_document` reads it back."""
        return {
            "phase": self.phase.value,
            "began_at": self.began_at and self.began_at.isoformat(),
            "looks": self.looks,
            "errors": self.errors,
            "metrics": {
                name: {
                    "seen": metric.seen.to_document(),
                    "recent": [round(metric.recent_of, 3), round(metric.recent_bad, 3)],
                    "sequence": metric.sequence.to_document(),
                }
                for name, metric in self.metrics.items()
            },
        }


def begin(template: Template, began_at: datetime | None = None) -> RunState:
    """A run before its first look; its time counts from there where no beginning is given."""
    metrics = {
        metric.name: MetricState(Shares(), 0, 0, _start(metric)) for metric in template.metrics
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
    template: Template, state: RunState, evidence: Evidence | None, now: datetime
) -> tuple[RunState, Look]:
    """One look: what is new is added, and the run is judged.

    Args:
        evidence: what was new since the last look; None when it could not be measured.

    Raises:
        RunEndedError: the run has its verdict.
    """
    if state.phase.ended:
        raise RunEndedError(f"the run has ended as {state.phase}: begin another")
    began_at = state.began_at or now
    errors = state.errors + 1 if evidence is None else 0
    metrics = dict(state.metrics)
    if evidence is not None:
        for metric in template.metrics:
            metrics[metric.name] = _after(metrics[metric.name], metric, evidence)
    found = tuple(_judged(template, metric, metrics[metric.name]) for metric in template.metrics)
    elapsed = now - began_at
    phase, reason = _verdict(template, found, errors, elapsed)
    state = RunState(phase, began_at, state.looks + 1, errors, metrics)
    seconds = round(elapsed.total_seconds(), 3)
    return state, Look(state.looks, phase, reason, seconds, found)


def _start(metric: Metric) -> Sequence:
    return start(metric.fail_at, metric.pass_at, alone=metric.compare is Compare.NONE)


def _kept(metric: Metric, document: Mapping[str, Any]) -> MetricState:
    of, bad = document["recent"]
    sequence = _start(metric).with_document(document["sequence"])
    return MetricState(from_document(document["seen"]), of, bad, sequence)


def _after(state: MetricState, metric: Metric, evidence: Evidence) -> MetricState:
    new = shares(metric, evidence)
    counts = Counts(*(np.asarray(float(n)) for n in vars(new).values()))
    of, bad = state.recent_of + new.of_b, state.recent_bad + new.bad_b
    shrink = min(1.0, _REMEMBERED / max(of, 1.0))
    return replace(
        state,
        seen=state.seen.plus(new),
        recent_of=of * shrink,
        recent_bad=bad * shrink,
        sequence=state.sequence.after(counts, _baseline_rates(state)),
    )


def _baseline_rates(state: MetricState) -> Array:
    if not state.recent_of:
        return FIRST_RATES
    return np.array([(state.recent_bad + _GUESS_BAD) / (state.recent_of + _GUESS_OF)])


def _judged(template: Template, metric: Metric, state: MetricState) -> MetricLook:
    alpha, sequence, seen = template.alpha_of(metric), state.sequence, state.seen
    if sequence.failed(alpha):
        phase, reason = Phase.FAILED, verdict_reason(metric, seen, sequence, "worse")
    elif sequence.passed(template.alpha):
        phase, reason = Phase.SUCCESSFUL, verdict_reason(metric, seen, sequence, "better")
    else:
        phase, reason = Phase.RUNNING, f"{counted(metric, seen)}; not decided yet"
    turned = metric.better is Better.HIGHER
    alone = metric.compare is Compare.NONE
    lower, upper = sequence.lower(alpha), sequence.upper(template.alpha)
    candidate = _tally(seen.of_c, seen.bad_c, turned)
    baseline = _tally(seen.of_b, seen.bad_b, turned)
    estimate = candidate.estimate
    if not alone and estimate is not None:
        estimate = None if baseline.estimate is None else estimate - baseline.estimate
    return MetricLook(
        name=metric.name,
        kind=metric.kind.value,
        phase=phase,
        reason=reason,
        required=metric.required,
        compare=metric.compare.value,
        better=metric.better.value,
        unit=metric.unit.value,
        candidate=candidate,
        baseline=baseline,
        estimate=estimate,
        lower=_turned(upper, alone) if turned else lower,
        upper=_turned(lower, alone) if turned else upper,
        limit=_turned(sequence.fail_at, alone) if turned else sequence.fail_at,
        statistic=_e_value(sequence.evidence_above()),
        needed=1 / alpha,
        for_passing=_e_value(sequence.evidence_below()),
        needed_for_passing=1 / template.alpha,
        inflation=1.0,
    )


def _verdict(
    template: Template, found: tuple[MetricLook, ...], errors: int, elapsed: timedelta
) -> tuple[Phase, str]:
    required = [each for each in found if each.required]
    for each in required:
        if each.phase is Phase.FAILED:
            return Phase.FAILED, f"{each.name}: {each.reason}"
    if all(each.phase is Phase.SUCCESSFUL for each in required):
        return Phase.SUCCESSFUL, "; ".join(f"{each.name}: {each.reason}" for each in required)
    if errors >= template.error_limit:
        return Phase.ERROR, f"could not be measured {errors} times in a row"
    waiting = [each for each in required if each.phase is Phase.RUNNING]
    said = "; ".join(f"{each.name}: {each.reason}" for each in waiting)
    if elapsed >= timedelta(microseconds=template.inconclusive_after):
        return Phase.INCONCLUSIVE, f"time is up, and the evidence decides nothing: {said}"
    if errors:
        return Phase.RUNNING, f"could not be measured, {errors} times in a row; {said}"
    return Phase.RUNNING, said


def _tally(of: int, bad: int, turned: bool) -> Tally:
    count = of - bad if turned else bad
    return Tally(of, count, count / of if of else None)


def _turned(bound: float | None, alone: bool) -> Any:
    if bound is None:
        return None
    return round(1 - bound, 9) if alone else -bound


def _e_value(logarithm: float) -> float:
    return float(f"{min(np.exp(min(logarithm, 700.0)), _MOST):.4g}")

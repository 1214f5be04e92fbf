"""What a look counts for a metric, and what the looks before it let one expect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from control_plane.domain.analysis.evidence import ArmEvidence, Evidence
from control_plane.domain.analysis.metric import FAILURES, Better, Compare, Kind, Metric, Unit
from control_plane.domain.analysis.rows import edges, fail_shift, shifts
from control_plane.domain.analysis.two_rates import Array, Counts
from control_plane.domain.confidence import edge_at_quantile, edge_near, surer
from control_plane.domain.latency import OVERFLOW, edge_from, merged

FIRST_RATES = np.array([0.0005, 0.002, 0.01, 0.05, 0.2])
"""What the baseline's rate may be before anything was seen of it."""

REMEMBERED = 20_000
"""So many of the baseline's last requests say what to expect of it next."""

_GUESS_RATE, _GUESS_OF = 0.01, 50.0
_FEW = 2.0
"""A quantile is known when at least so many requests lie beyond it."""

_NEAR = 1.5

Sketch = Mapping[int, float]


@dataclass(frozen=True)
class Seen:
    """Everything that a metric has counted: bad ones of all on each arm, and latencies.

    Of readings `of` are the readings and `sum` theirs added up; `sketch_c` counts them by row.
    """

    of_c: int = 0
    bad_c: int = 0
    of_b: int = 0
    bad_b: int = 0
    sketch_c: Sketch = field(default_factory=dict)
    sketch_b: Sketch = field(default_factory=dict)
    sum_c: float = 0.0
    sum_b: float = 0.0

    def plus(self, more: Seen) -> Seen:
        """Both together."""
        return Seen(
            self.of_c + more.of_c,
            self.bad_c + more.bad_c,
            self.of_b + more.of_b,
            self.bad_b + more.bad_b,
            merged((self.sketch_c, more.sketch_c)),
            merged((self.sketch_b, more.sketch_b)),
            self.sum_c + more.sum_c,
            self.sum_b + more.sum_b,
        )

    def to_document(self) -> dict[str, Any]:
        """The counts as JSON."""
        names = ("of_c", "bad_c", "of_b", "bad_b", "sum_c", "sum_b")
        numbers = {name: getattr(self, name) for name in names}
        return numbers | {"sketch_c": _pairs(self.sketch_c), "sketch_b": _pairs(self.sketch_b)}


@dataclass(frozen=True)
class Recent:
    """The baseline's latest requests, at most `REMEMBERED`."""

    of: float = 0.0
    bad: float = 0.0
    sketch: Sketch = field(default_factory=dict)

    def plus(self, new: Seen) -> Recent:
        """With a look's; the oldest are forgotten, all alike."""
        of, bad = self.of + new.of_b, self.bad + new.bad_b
        keep = min(1.0, REMEMBERED / max(of, 1.0))
        sketch = {b: n * keep for b, n in merged((self.sketch, new.sketch_b)).items()}
        return Recent(of * keep, bad * keep, sketch)

    def to_document(self) -> dict[str, Any]:
        """The counts as JSON."""
        return {"of": self.of, "bad": self.bad, "sketch": _pairs(self.sketch)}


def seen_from(document: Mapping[str, Any]) -> Seen:
    """The counts that were kept."""
    sketches = {name: _sketch(document[name]) for name in ("sketch_c", "sketch_b")}
    return Seen(**{**document, **sketches})


def recent_from(document: Mapping[str, Any]) -> Recent:
    """The counts that were kept."""
    return Recent(**{**document, "sketch": _sketch(document["sketch"])})


def reference(metric: Metric, evidence: Evidence) -> ArmEvidence:
    """The arm that a metric compares with: the twin where it wants one and there is one."""
    if metric.compare is Compare.NONE:
        return ArmEvidence()
    if metric.compare is Compare.TWIN and evidence.twin is not None:
        return evidence.twin
    return evidence.baseline


def counted(
    metric: Metric, recent: Recent, evidence: Evidence
) -> tuple[Seen, Counts | None, Array]:
    """What is new of a metric.

    Returns:
        What people are shown, the counts that are tested (None where there is nothing yet to test
        them by), and which rates the baseline may have.
    """
    if metric.kind is Kind.PROMQL:
        told = evidence.told[metric.name]
        new = Seen(*_told(metric, told.candidate), *_told(metric, told.baseline))
        return new, _counts(new.of_c, [new.bad_c], new.of_b, new.bad_b), _rates(recent)
    candidate, baseline = evidence.candidate, reference(metric, evidence)
    if metric.kind is Kind.CONFIDENCE:
        return _confident(metric, recent, candidate.confidence, baseline.confidence)
    if not metric.is_quantile:
        new = Seen(*_bad(metric, candidate), *_compared_bad(metric, baseline))
        return new, _counts(new.of_c, [new.bad_c], new.of_b, new.bad_b), _rates(recent)
    sketch_c, sketch_b = _latencies(metric, candidate), _compared_latencies(metric, baseline)
    new = Seen(
        of_c=sum(sketch_c.values()),
        of_b=sum(sketch_b.values()),
        sketch_c=sketch_c,
        sketch_b=sketch_b,
    )
    if metric.compare is Compare.NONE:
        over = over_edges(sketch_c, edges(metric))
        return new, _counts(new.of_c, over, 0, 0), np.zeros(1)
    return _compared(metric, recent, new)


def over_edges(sketch: Sketch, numbers: Iterable[int]) -> list[float]:
    """How many took longer than the upper edge of each of these buckets."""
    own = np.zeros(OVERFLOW + 2)
    for bucket, count in sketch.items():
        own[min(max(bucket, 0), OVERFLOW)] += count
    beyond = own[::-1].cumsum()[::-1]
    return [float(beyond[min(max(number, 0), OVERFLOW - 1) + 1]) for number in numbers]


def threshold(recent: Recent, q: float) -> int | None:
    """The bucket whose upper edge about 1 - q of the baseline's latest requests exceed.

    None as long as too few are known.
    """
    total = sum(recent.sketch.values())
    if total * (1 - q) < _FEW:
        return None
    over = np.array(over_edges(recent.sketch, range(OVERFLOW))) / total
    # Nearest in the logarithm: half as many beyond it is as far off as twice as many. Where so
    # many lie in one bucket that none is near, it is that bucket's upper edge.
    off = np.abs(np.log(np.maximum(over, 1e-9)) - np.log(1 - q))
    return int(np.where(over <= _NEAR * (1 - q), off, np.inf).argmin())


def _compared(metric: Metric, recent: Recent, new: Seen) -> tuple[Seen, Counts | None, Array]:
    at = threshold(recent, metric.q)
    if at is None:
        return new, None, np.zeros(1)
    over_b = over_edges(new.sketch_b, [at])[0]
    over_c = over_edges(new.sketch_c, [at + shift for shift in shifts(metric)])
    beyond = over_c[shifts(metric).index(fail_shift(metric))]
    total = sum(recent.sketch.values())
    expected = over_edges(recent.sketch, [at])[0] + (1 - metric.q) * _GUESS_OF
    shown = replace(new, bad_c=int(beyond), bad_b=int(over_b))
    rate = np.array([expected / (total + _GUESS_OF)])
    return shown, _counts(new.of_c, over_c, new.of_b, over_b), rate


def _confident(
    metric: Metric, recent: Recent, sketch_c: Mapping[int, int], sketch_b: Mapping[int, int]
) -> tuple[Seen, Counts | None, Array]:
    """Answers on the wrong side of an edge: of a level, or of the baseline's latest quantile."""
    new = Seen(sketch_c=dict(sketch_c), sketch_b=dict(sketch_b))
    if metric.level is None:
        at = edge_at_quantile(recent.sketch, metric.q)
    else:
        at = edge_near(metric.level)
    if at is None:
        # It is on neither side of what is not known: it only says where the edge will be.
        return new, None, np.zeros(1)
    (of_c, c), (of_b, b), (of, bad) = (
        _wrong(metric, sketch, at) for sketch in (sketch_c, sketch_b, recent.sketch)
    )
    shown = replace(new, of_c=int(of_c), bad_c=int(c), of_b=int(of_b), bad_b=int(b))
    rates = _rates(replace(recent, of=of, bad=bad))
    return shown, _counts(shown.of_c, [c], shown.of_b, b), rates


def _wrong(metric: Metric, sketch: Sketch, at: int) -> tuple[float, float]:
    total, over = sum(sketch.values()), surer(sketch, at)
    return total, total - over if metric.better is Better.HIGHER else over


def _latencies(metric: Metric, arm: ArmEvidence) -> dict[int, int]:
    if metric.kind is Kind.SHADOW_LATENCY_QUANTILE:
        return dict(arm.shadow)
    return _compared_latencies(metric, arm)


def _compared_latencies(metric: Metric, arm: ArmEvidence) -> dict[int, int]:
    """Of the arm that is compared with, which has requests of its own and no copies."""
    first = metric.kind is Kind.FIRST_RESPONSE_QUANTILE
    return dict(arm.first if first else arm.buckets)


def _bad(metric: Metric, arm: ArmEvidence) -> tuple[int, int]:
    if metric.unit is Unit.KEY:
        return arm.keys
    if metric.kind in FAILURES:
        return arm.attempts, min(arm.failures, arm.attempts)
    if metric.kind is Kind.SLA_VIOLATIONS:
        over = over_edges(arm.buckets, [edge_from(metric.latency)])[0]
        return sum(arm.buckets.values()), int(over)
    if metric.kind is Kind.SHADOW_ERRORS:
        return arm.shadow_errors
    if metric.kind is Kind.SHADOW_DISAGREEMENT:
        return arm.shadow_rows
    of, count = arm.feedback.get(metric.outcome, (0, 0))
    return of, of - count if metric.better is Better.HIGHER else count


def _told(metric: Metric, pair: tuple[float, float]) -> tuple[int, int]:
    of = max(0, round(pair[0]))
    count = min(of, max(0, round(pair[1])))
    return of, of - count if metric.better is Better.HIGHER else count


def _compared_bad(metric: Metric, arm: ArmEvidence) -> tuple[int, int]:
    """Of the arm that is compared with: copies that fail are held against requests that do."""
    if metric.kind is Kind.SHADOW_ERRORS:
        return arm.attempts, min(arm.failures, arm.attempts)
    return _bad(metric, arm)


def _counts(n_c: int, f_c: Sequence[float], n_b: int, f_b: float) -> Counts:
    failures = np.asarray(f_c, dtype=np.float64)
    of_c, of_b, bad_b = (np.full(failures.shape, float(count)) for count in (n_c, n_b, f_b))
    return Counts(of_c, failures, of_b, bad_b)


def _rates(recent: Recent) -> Array:
    if not recent.of:
        return FIRST_RATES
    rate = (recent.bad + _GUESS_RATE * _GUESS_OF) / (recent.of + _GUESS_OF)
    return np.array([rate])


def _pairs(sketch: Sketch) -> list[list[float]]:
    return [[bucket, round(count, 3)] for bucket, count in sorted(sketch.items())]


def _sketch(pairs: Iterable[tuple[int, float]]) -> dict[int, float]:
    return {int(bucket): count for bucket, count in pairs}

"""What a look found: kept as evidence, drawn on the rollout's page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Phase(StrEnum):
    """Where a run or a metric stands, in Argo's words.

    Error is "could not be measured", which is neither good nor bad.
    """

    RUNNING = "Running"
    SUCCESSFUL = "Successful"
    FAILED = "Failed"
    ERROR = "Error"
    INCONCLUSIVE = "Inconclusive"

    @property
    def ended(self) -> bool:
        return self is not Phase.RUNNING


class Scale(StrEnum):
    """What an estimate, its bounds and its limit are told in."""

    DIFFERENCE = "difference"
    SHARE = "share"
    RATIO = "ratio"
    MICROSECONDS = "microseconds"
    VALUE = "value"


@dataclass(frozen=True)
class Tally:
    """One arm since the run began: `count` of `of` had it, and the share or latency that makes.

    Of a latency quantile `count` are those beyond the threshold that was tested, and `estimate` is
    in microseconds. Of readings `of` are blocks of time, and `estimate` is the mean of their
    figures.
    """

    of: int = 0
    count: int = 0
    estimate: float | None = None


@dataclass(frozen=True)
class MetricLook:
    """One metric at one look.

    `estimate`, `lower`, `upper` and `limit` are on one `scale`: the candidate's less the
    baseline's, the one divided by the other, or the candidate's alone. More is worse on it where
    `better` is `lower`, else the other way about. A bound is None as long as there is none.
    `statistic` is the evidence against "good enough" (an e-value: what a stake of 1 has become);
    at `needed` the metric fails. `for_passing` is the evidence that it is good enough, and at
    `needed_for_passing` it passes. `compare` is what it was in fact compared with.
    """

    name: str
    kind: str
    phase: Phase
    reason: str
    required: bool
    compare: str
    better: str
    unit: str
    scale: Scale
    candidate: Tally
    baseline: Tally
    estimate: float | None
    lower: float | None
    upper: float | None
    limit: float
    statistic: float
    needed: float
    for_passing: float
    needed_for_passing: float


@dataclass(frozen=True)
class Look:
    """All metrics at one look, and what follows."""

    number: int
    phase: Phase
    reason: str
    seconds: float
    metrics: tuple[MetricLook, ...]

    def to_document(self) -> dict[str, Any]:
        """The look as JSON."""
        return asdict(self) | {
            "phase": self.phase.value,
            "metrics": [
                asdict(each) | {"phase": each.phase.value, "scale": each.scale.value}
                for each in self.metrics
            ],
        }

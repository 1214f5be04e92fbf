"""Which counts of a look belong to a metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from control_plane.domain.analysis.evidence import ArmEvidence, Evidence
from control_plane.domain.analysis.metric import Better, Compare, Kind, Metric


@dataclass(frozen=True)
class Shares:
    """How many of how many were bad, on each arm."""

    of_c: int = 0
    bad_c: int = 0
    of_b: int = 0
    bad_b: int = 0

    def plus(self, more: Shares) -> Shares:
        """Both together."""
        return Shares(
            self.of_c + more.of_c,
            self.bad_c + more.bad_c,
            self.of_b + more.of_b,
            self.bad_b + more.bad_b,
        )

    def to_document(self) -> dict[str, int]:
        """The counts as JSON."""
        return dict(vars(self))


def shares(metric: Metric, evidence: Evidence) -> Shares:
    """What a look says about a metric; the baseline has none where nothing is compared."""
    of_c, bad_c = _bad(metric, evidence.candidate)
    of_b, bad_b = (0, 0)
    if metric.compare is not Compare.NONE:
        of_b, bad_b = _bad(metric, reference(metric, evidence))
    return Shares(of_c, bad_c, of_b, bad_b)


def reference(metric: Metric, evidence: Evidence) -> ArmEvidence:
    """The arm that a metric compares with: the twin where it wants one and there is one."""
    if metric.compare is Compare.TWIN and evidence.twin is not None:
        return evidence.twin
    return evidence.baseline


def from_document(document: Mapping[str, int]) -> Shares:
    """The counts that were kept."""
    return Shares(**document)


def _bad(metric: Metric, arm: ArmEvidence) -> tuple[int, int]:
    if metric.kind is Kind.ERROR_RATE:
        return arm.attempts, min(arm.failures, arm.attempts)
    of, count = arm.feedback.get(metric.outcome, (0, 0))
    return of, of - count if metric.better is Better.HIGHER else count

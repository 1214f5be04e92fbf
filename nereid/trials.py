"""What trying a template answers, as values: on simulated rollouts, and on what was measured."""

from __future__ import annotations

from dataclasses import dataclass, field

from nereid.resources import Document

Middle = tuple[float, float]
"""The median, and what 9 of 10 stay under."""


@dataclass(frozen=True)
class Simulation:
    """How simulated rollouts of a template ended; shares of the runs.

    `template` and `scenario` have every value in force. What only failed runs have is None where
    none failed.
    """

    template: Document
    scenario: Document
    runs: int
    look_every: float
    failed: float
    successful: float
    inconclusive: float
    failed_by: dict[str, float]
    seconds_to_fail: Middle | None
    candidate_requests_to_fail: Middle | None
    harmed_until_failed: Middle | None
    seconds_to_succeed: Middle | None
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Simulation:
        outcome = raw["outcome"]
        return cls(
            template=raw["template"],
            scenario=raw["scenario"],
            runs=int(outcome["runs"]),
            look_every=float(outcome["look_every"]),
            failed=float(outcome["failed"]),
            successful=float(outcome["successful"]),
            inconclusive=float(outcome["inconclusive"]),
            failed_by={str(name): float(share) for name, share in outcome["failed_by"].items()},
            seconds_to_fail=_middle(outcome["seconds_to_fail"]),
            candidate_requests_to_fail=_middle(outcome["candidate_requests_to_fail"]),
            harmed_until_failed=_middle(outcome["harmed_until_failed"]),
            seconds_to_succeed=_middle(outcome["seconds_to_succeed"]),
            raw=raw,
        )


@dataclass(frozen=True)
class Replay:
    """What a run by a template would have found in what was measured; `ended_at` None: it would
    go on. `look` is the last look, as an analysis run keeps it."""

    template: Document
    look_every: float
    looks: int
    phase: str
    reason: str
    ended_at: str | None
    look: Document
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Replay:
        return cls(
            template=raw["template"],
            look_every=float(raw["look_every"]),
            looks=int(raw["looks"]),
            phase=str(raw["phase"]),
            reason=str(raw["reason"]),
            ended_at=raw.get("ended_at"),
            look=raw["look"],
            raw=raw,
        )


def _middle(pair: list[float] | None) -> Middle | None:
    return None if pair is None else (float(pair[0]), float(pair[1]))

"""What an arm's counters grew by between two scrapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from control_plane.telemetry.outcomes import FAILED, HANDED_ON, SEEN


@dataclass(frozen=True)
class ArmCounters:
    """One arm of one endpoint on one server, as a scrape found it.

    `outcomes`, `duration_us` and `buckets` count since Triton started. `breaker` is 0 closed, 1
    half-open, 2 open; what is left of an allowance is None where it has no bound.
    """

    endpoint: str
    arm: str
    outcomes: Mapping[str, int] = field(default_factory=dict)
    duration_us: int = 0
    buckets: Mapping[int, int] = field(default_factory=dict)
    breaker: int | None = None
    attempts_left: int | None = None
    failures_left: int | None = None


@dataclass(frozen=True)
class ArmStep:
    """What happened on an arm between two scrapes; the names are those of `ArmTraffic`."""

    endpoint: str
    arm: str
    requests: int
    failures: int
    handed_on: int
    errors: int
    duration_us: int
    buckets: Mapping[int, int]

    @property
    def empty(self) -> bool:
        return not (self.requests or self.buckets)


def step(before: ArmCounters | None, now: ArmCounters) -> ArmStep:
    """The increase since `before`; all of it is new where there was nothing before.

    A counter that went down was reset with its server, and so were the others.
    """
    if before is None or _was_reset(before, now):
        before = ArmCounters(now.endpoint, now.arm)
    grown = {
        outcome: count - before.outcomes.get(outcome, 0) for outcome, count in now.outcomes.items()
    }
    buckets = {b: count - before.buckets.get(b, 0) for b, count in now.buckets.items()}
    return ArmStep(
        endpoint=now.endpoint,
        arm=now.arm,
        requests=sum(grown.values()),
        failures=sum(grown.get(outcome, 0) for outcome in FAILED),
        handed_on=sum(grown.get(outcome, 0) for outcome in HANDED_ON),
        errors=sum(grown.get(outcome, 0) for outcome in SEEN),
        duration_us=now.duration_us - before.duration_us,
        buckets={bucket: count for bucket, count in buckets.items() if count},
    )


def _was_reset(before: ArmCounters, now: ArmCounters) -> bool:
    return (
        now.duration_us < before.duration_us
        or any(now.outcomes.get(o, 0) < count for o, count in before.outcomes.items())
        or any(now.buckets.get(b, 0) < count for b, count in before.buckets.items())
    )

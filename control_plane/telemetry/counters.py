"""What an arm's counters grew by between two scrapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from control_plane.telemetry.outcomes import FAILED, HANDED_ON, SEEN


@dataclass(frozen=True)
class ArmCounters:
    """One arm of one endpoint on one server, as a scrape found it.

    `outcomes`, `duration_us`, `buckets`, `first` (of the time to the first response), `shadow`
    (of how long copies took) and `confidence` (of how sure answers were, in buckets of
    `domain.confidence`) count since Triton started; `more`, by the names of `tables.MORE`,
    since then or since its model was loaded. `breaker` is 0 closed, 1 half-open, 2 open; what is
    left of an allowance is None where it has no bound.
    """

    endpoint: str
    arm: str
    outcomes: Mapping[str, int] = field(default_factory=dict)
    duration_us: int = 0
    buckets: Mapping[int, int] = field(default_factory=dict)
    first: Mapping[int, int] = field(default_factory=dict)
    shadow: Mapping[int, int] = field(default_factory=dict)
    confidence: Mapping[int, int] = field(default_factory=dict)
    more: Mapping[str, int] = field(default_factory=dict)
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
    first: Mapping[int, int] = field(default_factory=dict)
    shadow: Mapping[int, int] = field(default_factory=dict)
    confidence: Mapping[int, int] = field(default_factory=dict)
    more: Mapping[str, int] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Its model's queue alone makes no row: its requests may be another endpoint's."""
        shadows = any(n for name, n in self.more.items() if name.startswith("shadow_"))
        return not (self.requests or self.buckets or shadows)


def step(before: ArmCounters | None, now: ArmCounters) -> ArmStep:
    """The increase since `before`; all of it is new where there was nothing before.

    A counter that went down was reset with its server, and so were the others.
    """
    if before is None or _was_reset(before, now):
        before = ArmCounters(now.endpoint, now.arm)
    grown = {
        outcome: count - before.outcomes.get(outcome, 0) for outcome, count in now.outcomes.items()
    }
    return ArmStep(
        endpoint=now.endpoint,
        arm=now.arm,
        requests=sum(grown.values()),
        failures=sum(grown.get(outcome, 0) for outcome in FAILED),
        handed_on=sum(grown.get(outcome, 0) for outcome in HANDED_ON),
        errors=sum(grown.get(outcome, 0) for outcome in SEEN),
        duration_us=now.duration_us - before.duration_us,
        buckets=_grown(before.buckets, now.buckets),
        first=_grown(before.first, now.first),
        shadow=_grown(before.shadow, now.shadow),
        confidence=_grown(before.confidence, now.confidence),
        more={name: _since(before.more.get(name, 0), count) for name, count in now.more.items()},
    )


def _grown(before: Mapping[int, int], now: Mapping[int, int]) -> dict[int, int]:
    grown = {bucket: count - before.get(bucket, 0) for bucket, count in now.items()}
    return {bucket: count for bucket, count in grown.items() if count}


def _since(before: int, now: int) -> int:
    """Each for itself: a model that is loaded anew counts anew, and its server does not."""
    return now - before if now >= before else now


def _was_reset(before: ArmCounters, now: ArmCounters) -> bool:
    return (
        now.duration_us < before.duration_us
        or any(now.outcomes.get(o, 0) < count for o, count in before.outcomes.items())
        or any(now.buckets.get(b, 0) < count for b, count in before.buckets.items())
        or any(now.first.get(b, 0) < count for b, count in before.first.items())
        or any(now.shadow.get(b, 0) < count for b, count in before.shadow.items())
        or any(now.confidence.get(b, 0) < count for b, count in before.confidence.items())
    )

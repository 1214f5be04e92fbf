"""What was new since the last look: counts of each arm, over the same time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ArmEvidence:
    """One arm's share of a look; all servers together.

    `attempts` are those that had a result of the arm's own, `failures` those of them that it
    failed. `buckets` counts attempts by how long they took (`domain.latency`), `first` by how long
    it was to their first response. `feedback` is outcome -> (of how many it is known, how many had
    it). Of copies of requests, `shadow` counts how long they took, `shadow_errors` is (how many,
    failed), and `shadow_rows` (compared rows, those that differ). `queue` is (microseconds that
    requests waited for the arm's model, how many they were). `keys` is (sticky keys,
    those of which it failed the first request). `confidence` counts answers by how sure they were
    (`domain.confidence`).
    """

    attempts: int = 0
    failures: int = 0
    buckets: Mapping[int, int] = field(default_factory=dict)
    feedback: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    first: Mapping[int, int] = field(default_factory=dict)
    shadow: Mapping[int, int] = field(default_factory=dict)
    shadow_errors: tuple[int, int] = (0, 0)
    shadow_rows: tuple[int, int] = (0, 0)
    queue: tuple[int, int] = (0, 0)
    keys: tuple[int, int] = (0, 0)
    confidence: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """What Prometheus said of both arms over `seconds`, for one metric.

    Of counters each pair is (of how many, how many), of figures (their sum, how many were read).
    """

    seconds: float
    candidate: tuple[float, float]
    baseline: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class LevelBeside:
    """One level of load that two perf runs measured: how many times as long the candidate's p99
    is, and how many times as much throughput the other has."""

    name: str
    slower: float
    less: float


@dataclass(frozen=True)
class PerfBeside:
    """The candidate's last perf run beside the last one that was accepted, in `words`.

    `problem` is why there is nothing to compare; there are no levels then.
    """

    levels: tuple[LevelBeside, ...] = ()
    words: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Evidence:
    """Both arms over the same `seconds`.

    `twin` is a second instance of the stable version, as small as the candidate; None where
    the servers had no room for one. `told` has metrics by name that Prometheus was asked for since,
    and `unmeasured` why those are not measured that should be. `perf` is there where a metric is of
    perf runs.
    """

    seconds: float
    candidate: ArmEvidence
    baseline: ArmEvidence
    twin: ArmEvidence | None = None
    told: Mapping[str, Told] = field(default_factory=dict)
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    perf: PerfBeside | None = None


def merged(parts: Iterable[ArmEvidence]) -> ArmEvidence:
    """One arm's evidence from several servers or scrapes."""
    attempts = failures = 0
    buckets: Counter[int] = Counter()
    first: Counter[int] = Counter()
    shadow: Counter[int] = Counter()
    confidence: Counter[int] = Counter()
    shadows, queue, keys = [0, 0, 0, 0], [0, 0], [0, 0]
    known: Counter[str] = Counter()
    had: Counter[str] = Counter()
    for part in parts:
        attempts += part.attempts
        failures += part.failures
        buckets.update(part.buckets)
        first.update(part.first)
        shadow.update(part.shadow)
        confidence.update(part.confidence)
        for place, count in enumerate((*part.shadow_errors, *part.shadow_rows)):
            shadows[place] += count
        for place, count in enumerate(part.queue):
            queue[place] += count
        for place, count in enumerate(part.keys):
            keys[place] += count
        for outcome, (of, count) in part.feedback.items():
            known[outcome] += of
            had[outcome] += count
    feedback = {outcome: (of, had[outcome]) for outcome, of in known.items()}
    return ArmEvidence(
        attempts=attempts,
        failures=failures,
        buckets=dict(buckets),
        feedback=feedback,
        first=dict(first),
        shadow=dict(shadow),
        shadow_errors=(shadows[0], shadows[1]),
        shadow_rows=(shadows[2], shadows[3]),
        queue=(queue[0], queue[1]),
        keys=(keys[0], keys[1]),
        confidence=dict(confidence),
    )

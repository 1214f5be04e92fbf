"""Two things measured in turns, and what may be said of their difference.

Noise that lasts (another process, a warm cache) meets both halves of a pair, so the ratio within a
pair is steadier than either figure. The interval is of the median of the pairs' ratios, by order
statistics: with n independent pairs the k-th smallest and k-th largest enclose the true median with
probability 1 - 2 * P(Binomial(n, 1/2) < k), whatever the distribution. Worked example: for n = 20,
k = 6 gives 1 - 2 * P(B <= 5) = 0.9586.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A median and the bounds that enclose the true one with the confidence `confidence`."""

    median: float
    low: float
    high: float
    confidence: float

    def document(self) -> dict[str, float]:
        """What goes into the JSON file."""
        return {
            "median": round(self.median, 4),
            "low": round(self.low, 4),
            "high": round(self.high, 4),
            "confidence": round(self.confidence, 4),
        }


def estimate(values: Sequence[float]) -> Estimate:
    """The median of `values` and its interval, the tightest with at least 95 % if there is one."""
    ordered = sorted(values)
    count = len(ordered)
    rank = 1
    while rank < (count + 1) // 2 and _enclosed(count, rank + 1) >= CONFIDENCE:
        rank += 1
    return Estimate(
        statistics.median(ordered), ordered[rank - 1], ordered[-rank], _enclosed(count, rank)
    )


def _enclosed(count: int, rank: int) -> float:
    tail = sum(math.comb(count, below) for below in range(rank)) / 2**count
    return 1 - 2 * tail


@dataclass(frozen=True)
class Figures:
    """One measurement: latencies in microseconds, answers in a second."""

    p50_us: float
    p99_us: float
    rate: float


@dataclass(frozen=True)
class Comparison:
    """What `pairs` of (first, second) say about the second beside the first."""

    pairs: Sequence[tuple[Figures, Figures]]

    @property
    def p50_first(self) -> float:
        return statistics.median(first.p50_us for first, _ in self.pairs)

    @property
    def p50_second(self) -> float:
        return statistics.median(second.p50_us for _, second in self.pairs)

    @property
    def p50_ratio(self) -> Estimate:
        return estimate([second.p50_us / first.p50_us for first, second in self.pairs])

    @property
    def p50_added_us(self) -> Estimate:
        return estimate([second.p50_us - first.p50_us for first, second in self.pairs])

    @property
    def p99_ratio(self) -> Estimate:
        return estimate([second.p99_us / first.p99_us for first, second in self.pairs])

    @property
    def rate_ratio(self) -> Estimate:
        return estimate([second.rate / first.rate for first, second in self.pairs])

    def document(self) -> dict[str, object]:
        """What goes into the JSON file: the estimates, and all that they were made of."""
        return {
            "pairs": len(self.pairs),
            "p50_first_us": round(self.p50_first, 1),
            "p50_second_us": round(self.p50_second, 1),
            "p50_ratio": self.p50_ratio.document(),
            "p50_added_us": self.p50_added_us.document(),
            "p99_ratio": self.p99_ratio.document(),
            "rate_ratio": self.rate_ratio.document(),
            "measured": [[vars(first), vars(second)] for first, second in self.pairs],
        }

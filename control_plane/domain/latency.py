"""Latencies as counts in log-spaced buckets: where the edges lie, and what can be said from counts.

The router's histogram has an edge every 5 % from 50 us to 100 s. A bucket is known by the number of
its upper edge; how many requests took longer than an edge is exact, anything between two is not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

FIRST_US = 50.0
RATIO = 1.05
OVERFLOW = 299
"""The bucket of what took longer than the last edge, 100 s."""

LAST_US = 100e6
_ROUNDING = 1e-6


def edge_us(bucket: int) -> float:
    """The upper edge of a bucket, in microseconds; the last edge is 100 s.

    >>> [round(edge_us(bucket), 1) for bucket in (0, 1, 298)]
    [50.0, 52.5, 100000000.0]
    """
    return min(FIRST_US * RATIO**bucket, LAST_US)


def edge_from(us: float) -> int:
    """The lowest bucket whose upper edge is at least `us`: what is over it surely took longer.

    >>> [edge_from(us) for us in (10, 50, 51, 52.5)]
    [0, 0, 1, 1]
    """
    steps = math.log(max(us, FIRST_US) / FIRST_US, RATIO)
    return min(max(0, math.ceil(steps - _ROUNDING)), OVERFLOW - 1)


def edge_until(us: float) -> int:
    """The highest bucket whose upper edge is at most `us`: what is not over it surely was as quick.

    Below the first edge there is none, and it is the first.

    >>> [edge_until(us) for us in (10, 50, 51, 52.5)]
    [0, 0, 0, 1]
    """
    steps = math.log(max(us, FIRST_US) / FIRST_US, RATIO)
    return min(max(0, math.floor(steps + _ROUNDING)), OVERFLOW - 1)


def merged(sketches: Iterable[Mapping[int, float]]) -> dict[int, float]:
    """One sketch of everything that any of these holds."""
    total: Counter[int] = Counter()
    for sketch in sketches:
        for bucket, count in sketch.items():
            total[bucket] += count  # type: ignore[assignment] # parts of a count, when spread
    return dict(total)


def quantile(sketch: Mapping[int, float], q: float) -> float | None:
    """The latency in microseconds that a share `q` of the requests did not exceed.

    The bucket in which the q-th request lies has the edges lo and hi = 1.05 lo; between them the
    answer is lo * (hi / lo) ** f, where f is how far into the bucket that request lies (0 to 1).
    Within 5 % of the truth, and 2.5 % on average. None when there was no request.

    Example: `quantile({0: 1, 15: 2}, 0.5)` is 100.2: half of three is one and a half, which is a
    quarter of the way through the two between 99.0 and 103.9 us.
    """
    total = sum(sketch.values())
    if total <= 0:
        return None
    wanted = q * total
    below = 0.0
    for bucket in sorted(sketch):
        count = sketch[bucket]
        if count and below + count >= wanted:
            inside = max(0.0, wanted - below) / count
            edge = FIRST_US * RATIO ** (bucket - 1 + inside) if bucket else FIRST_US
            return min(edge, LAST_US)
        below += count
    return LAST_US  # reached by rounding only, when parts of counts were added up

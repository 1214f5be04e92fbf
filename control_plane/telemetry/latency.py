"""How long requests took, as a sketch: how many fell into each of some 300 log-spaced buckets.

The router's histogram has an edge every 5 % from 50 us to 100 s. A bucket is known here by the
number of its upper edge, and only those with something in them are kept: an arm's latencies lie
close together, so a few dozen numbers say as much as the 300 series do.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache

FIRST_US = 50.0
RATIO = 1.05
OVERFLOW = 299
"""The bucket of what took longer than the last edge, 100 s."""

_LAST_US = 100e6


@cache
def bucket_of(edge: str) -> int:
    """The bucket whose upper edge is a Prometheus `le` label, in microseconds.

    An edge that is none of the router's goes to the next above: a quantile is off by less than
    5 % then.
    """
    value = float(edge)
    if value > _LAST_US:
        return OVERFLOW
    # Labels are printed with few digits: an edge may read a little above itself.
    return max(0, math.ceil(math.log(max(value, FIRST_US) / FIRST_US, RATIO) - 0.01))


def own_counts(cumulative: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Bucket -> what fell into it alone, from counts that include all buckets below."""
    own: dict[int, int] = {}
    below = 0
    for bucket, count in sorted(cumulative):
        if count > below:
            own[bucket] = count - below
        below = max(below, count)
    return own


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
            return min(edge, _LAST_US)
        below += count
    return _LAST_US  # reached by rounding only, when parts of counts were added up

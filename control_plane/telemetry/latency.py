"""How long requests took, as a sketch: how many fell into each of some 300 log-spaced buckets.

The router's histogram is `control_plane.domain.latency`'s. Only buckets with something in them are
kept: an arm's latencies lie close together, so a few dozen numbers say as much as the 300 series
do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache

from control_plane.domain.latency import FIRST_US, LAST_US, OVERFLOW, RATIO


@cache
def bucket_of(edge: str) -> int:
    """The bucket whose upper edge is a Prometheus `le` label, in microseconds.

    An edge that is none of the router's goes to the next above: a quantile is off by less than
    5 % then.
    """
    value = float(edge)
    if value > LAST_US:
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

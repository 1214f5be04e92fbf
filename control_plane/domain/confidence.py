"""How sure answers are, as counts in buckets: where the edges lie, and what counts say.

The router's histogram has an edge wherever the odds of the likeliest class have grown by a fifth,
from 1:1000 to 9100:1: a sure model's 99.9 % is told from 99.5 % as well as 50 % from 60 %. A bucket
is known by the number of its upper edge; how many answers were surer than an edge is exact,
anything between two is not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache

ODDS_RATIO = 1.2
LOWEST_STEP = -38
FEW = 2.0
"""A quantile is known when at least so many answers lie on either side of it."""

OVERFLOW = 89
"""The bucket of what is surer than the last edge, 99.989 %."""


_NONE = 1e-6


@cache
def edge(bucket: int) -> float:
    """The upper edge of a bucket, as a probability.

    >>> [edge(bucket) for bucket in (0, 38, 50, 88)]
    [0.000979, 0.5, 0.899154, 0.99989]
    """
    odds: float = ODDS_RATIO ** (bucket + LOWEST_STEP)
    return round(odds / (1 + odds), 6)


def edge_near(probability: float) -> int:
    """The bucket whose upper edge is nearest, in the logarithm of the odds.

    >>> [edge_near(p) for p in (0, 0.5, 0.9, 0.95, 1)]
    [0, 38, 50, 54, 88]
    """
    least, most = edge(0), edge(OVERFLOW - 1)
    inside = min(max(probability, least), most)
    steps = math.log(inside / (1 - inside), ODDS_RATIO) - LOWEST_STEP
    return min(max(0, round(steps)), OVERFLOW - 1)


def surer(sketch: Mapping[int, float], bucket: int) -> float:
    """How many answers were surer than the upper edge of a bucket.

    >>> surer({37: 2, 38: 3, 60: 5}, 38)
    5
    """
    return sum(count for own, count in sketch.items() if own > bucket)


def edge_at_quantile(sketch: Mapping[int, float], q: float) -> int | None:
    """The edge that nearest to a share `q` of the answers are not surer than.

    Of the two edges of the bucket that the quantile lies in it is the one whose share has the odds
    nearer to those of `q`. None where the quantile is below the first edge: what is no probability
    counts as 0, and nothing is to be compared with that; or where too few answers lie beyond it.

    >>> edge_at_quantile({40: 10, 50: 89, 60: 1}, 0.1)
    40
    """
    total = sum(sketch.values())
    if total * min(q, 1 - q) < FEW:
        return None
    before = 0.0
    for bucket in sorted(sketch):
        until = before + sketch[bucket]
        if until >= q * total - 1e-9 and bucket != OVERFLOW:
            lower, upper = (abs(_log_odds(n, total) - _log_odds(q, 1)) for n in (before, until))
            return None if bucket == 0 else bucket - 1 if lower < upper else bucket
        before = until
    return OVERFLOW - 1


def _log_odds(count: float, total: float) -> float:
    share = min(max(count / total, _NONE), 1 - _NONE)
    return math.log(share / (1 - share))

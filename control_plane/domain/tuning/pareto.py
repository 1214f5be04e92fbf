"""Of what was measured: the Pareto front, and what is chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence

from control_plane.domain.tuning.configuration import Configuration, changed_words
from control_plane.domain.tuning.request import Objective, TuneRequest
from control_plane.domain.tuning.study import Point

ALIKE = 0.03
"""What lies closer than this share counts as equally good: a server measures no finer."""


def front(points: Sequence[Point]) -> list[Point]:
    """Those that no other is as good as in throughput, latency and cost, and better in one;
    by throughput, the most first."""
    kept = [one for one in points if not any(_dominates(other, one) for other in points)]
    return sorted(kept, key=lambda one: (-one.throughput, one.latency_us))


def score(request: TuneRequest, point: Point) -> float:
    """The logarithm of what is maximised: throughput, or one over latency."""
    if request.objective is Objective.LATENCY:
        return -math.log(max(point.latency_us, 1e-9))
    return math.log(max(point.throughput, 1e-9))


def best_of(request: TuneRequest, points: Sequence[Point]) -> Point | None:
    """The best within the limit; None where nothing is."""
    within = [one for one in points if one.within]
    return max(within, key=lambda one: score(request, one)) if within else None


def chosen(request: TuneRequest, present: Configuration, points: Sequence[Point]) -> Point | None:
    """What is to be served: the best within the limit, or something as good that costs less.

    Of those that are alike the one with the fewest instances, then the fewest changes, then the
    best; so what is there already stays where nothing is better.
    """
    best = best_of(request, points)
    if best is None:
        return None
    near = score(request, best) - ALIKE
    alike = [one for one in points if one.within and score(request, one) >= near]

    def least(one: Point) -> tuple[float, ...]:
        changes = len(changed_words(one.configuration, present))
        return (one.cost, changes, -score(request, one))

    return min(alike, key=least)


def _dominates(one: Point, other: Point) -> bool:
    mine = (one.throughput, -one.latency_us, -one.cost)
    its = (other.throughput, -other.latency_us, -other.cost)
    return mine != its and all(a >= b for a, b in zip(mine, its, strict=True))

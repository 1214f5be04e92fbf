"""Which level of load is measured next: a list gone through, or a limit closed in on.

The searcher is told what was measured and asked for the next level; it measures nothing itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from control_plane.domain.perf.request import Load, LoadKind, PerfRequest, Span


@dataclass(frozen=True)
class Told:
    """A level that was measured, and its latency (us) at the percentile that the limit is for."""

    value: float
    latency_us: float


@dataclass(frozen=True)
class NextLevel:
    """The level to measure, or None and why there is none."""

    value: float | None
    reason: str


def next_level(request: PerfRequest, told: Sequence[Told]) -> NextLevel:
    """What to measure after what was.

    A list ends after the first level above the latency limit: what comes after is slower. A search
    begins at both ends and halves what is between the highest level within the limit and the
    lowest above it, until they are a step apart.
    """
    if request.load.searches and request.load.span and request.latency_limit is not None:
        return _searched(request.load, request.load.span, told, request.latency_limit)
    levels = levels_of(request.load)
    if told and request.latency_limit is not None and told[-1].latency_us > request.latency_limit:
        return NextLevel(None, f"{told[-1].value:g} is above the latency limit")
    if len(told) >= len(levels):
        return NextLevel(None, "every level was measured")
    return NextLevel(levels[len(told)], f"level {len(told) + 1} of {len(levels)}")


def levels_of(load: Load) -> tuple[float, ...]:
    """The levels of a load that is not searched; intervals are one level, of their own rate."""
    if load.kind is LoadKind.INTERVALS:
        mean_us = sum(load.intervals) / len(load.intervals)
        return (round(1e6 / mean_us, 3),)
    if load.span is None:
        return load.values
    span = load.span
    count = math.floor((span.high - span.low) / span.step + 1e-9) + 1
    return tuple(round(span.low + i * span.step, 6) for i in range(count))


def planned(load: Load) -> int:
    """How many levels a run measures; of a search, at most."""
    if not load.searches or load.span is None:
        return len(levels_of(load))
    span = load.span
    if span.low == span.high:
        return 1
    return 2 + max(0, math.ceil(math.log2(max(1.0, (span.high - span.low) / span.step))))


def _searched(load: Load, span: Span, told: Sequence[Told], limit: int) -> NextLevel:
    within = [one.value for one in told if one.latency_us <= limit]
    above = [one.value for one in told if one.latency_us > limit]
    if not told:
        return NextLevel(span.low, "the lower end")
    if not within:
        return NextLevel(None, f"{span.low:g} is above the latency limit already")
    if span.high not in [*within, *above]:
        return NextLevel(span.high, "the upper end")
    if not above:
        return NextLevel(None, f"{span.high:g} is within the latency limit: look higher")
    best, worst = max(within), min(above)
    middle = _middle(load.kind, best, worst)
    if worst - best <= span.step + 1e-9 or middle in (best, worst):
        return NextLevel(None, f"{best:g} is the most within the latency limit")
    return NextLevel(middle, f"between {best:g} and {worst:g}")


def _middle(kind: LoadKind, low: float, high: float) -> float:
    middle = (low + high) / 2
    return float(math.floor(middle)) if kind is LoadKind.CONCURRENCY else round(middle, 3)

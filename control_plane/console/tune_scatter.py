"""A tune's measurements as geometry: throughput against latency, with the Pareto front.

Everything is a percent of the plot's width or height, as in `perf_curve`. Latency is drawn on a
logarithmic scale: what was tried lies far apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from control_plane.console.charts import Tick, scale_of
from control_plane.console.perf_curve import level_name
from control_plane.console.words import microseconds


@dataclass(frozen=True)
class Dot:
    """A measurement; `kind` is plain, front, present or chosen."""

    x: float
    y: float
    kind: str
    text: str


@dataclass(frozen=True)
class Scatter:
    """The picture; `front` is the path along the Pareto front, `limit` where the limit lies."""

    dots: list[Dot]
    front: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    limit: float | None
    summary: str

    @property
    def empty(self) -> bool:
        return not self.dots


def scatter(
    points: Sequence[Any],
    *,
    front: Sequence[Any],
    present: Any,
    chosen: tuple[Any, float] | None,
    unit: str,
    limit_us: float | None,
) -> Scatter:
    """Throughput to the right, latency upwards.

    Args:
        points: `domain.tuning.study.Point`, all that was measured.
        front: those on the Pareto front.
        present: the configuration that serves now.
        chosen: (configuration, load) of what is chosen.
        unit: what loads are numbers of.
    """
    if not points:
        return Scatter([], "", [], [], None, "")
    across = scale_of(max(one.throughput for one in points))
    latencies = [one.latency_us for one in points] + ([limit_us] if limit_us else [])
    low = math.floor(math.log10(max(1.0, min(latencies))) * 2) / 2
    high = math.ceil(math.log10(max(latencies)) * 2 + 1e-9) / 2
    high = max(high, low + 0.5)

    def up(us: float) -> float:
        return round(100 - 100 * (math.log10(max(us, 1.0)) - low) / (high - low), 2)

    def at(one: Any) -> tuple[float, float]:
        return round(100 * one.throughput / across.top, 2), up(one.latency_us)

    dots = [_dot(one, *at(one), front, present, chosen, unit) for one in points]
    # What is pointed out lies above what is not.
    dots.sort(key=lambda dot: ("plain", "present", "front", "chosen").index(dot.kind))
    steps = sorted(front, key=lambda one: one.throughput)
    path = "M" + " L".join(f"{x:g} {y:g}" for x, y in map(at, steps)) if len(steps) > 1 else ""
    return Scatter(
        dots=dots,
        front=path,
        x_ticks=[
            Tick(round(100 * i * across.step / across.top, 2), f"{i * across.step:,g}/s")
            for i in range(across.steps + 1)
        ],
        y_ticks=[Tick(up(us), microseconds(us)) for us in _decades(low, high)],
        limit=up(limit_us) if limit_us else None,
        summary=f"{len(points)} measurements, {len(front)} of them on the Pareto front",
    )


def _decades(low: float, high: float) -> list[float]:
    """1, 3, 10, 30 … within the picture, so that two lie apart by half a decade."""
    ends = range(round(low * 2), round(high * 2) + 1)
    return [10 ** (k // 2) * (3 if k % 2 else 1) for k in ends]


def _dot(
    one: Any,
    x: float,
    y: float,
    front: Sequence[Any],
    present: Any,
    chosen: tuple[Any, float] | None,
    unit: str,
) -> Dot:
    kind = "plain"
    if (one.configuration, one.load) == chosen:
        kind = "chosen"
    elif one.configuration == present:
        kind = "present"
    elif one in front:
        kind = "front"
    said = [
        f"{one.configuration}, {level_name(unit, one.load)}",
        f"{one.throughput:,.0f} inferences a second",
        f"latency {microseconds(one.latency_us)}",
        f"trial {', '.join(map(str, one.trials))}",
    ]
    return Dot(x, y, kind, "\n".join(said))

"""Throughput against latency as geometry: one line a run, a point a level.

Everything is a percent of the plot's width or height, so that the picture stretches with the page
and no letter does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from control_plane.console.charts import Tick, scale_of
from control_plane.console.words import microseconds
from control_plane.telemetry.perf import PerfLevel

COLOURS = 8


@dataclass(frozen=True)
class Plotted:
    """A run to draw: its name, its levels, and how one of them is called."""

    name: str
    levels: Sequence[PerfLevel]
    unit: str


@dataclass(frozen=True)
class Point:
    """A level: where it is, and what it says when it is pointed at."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Line:
    """A run's latency at one percentile, level after level; dashed is the median."""

    path: str
    colour: int
    dashed: bool
    points: list[Point]


@dataclass(frozen=True)
class Curve:
    """The picture; `limit` is where the latency limit lies, None where it is not in sight."""

    summary: str
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    limit: float | None

    @property
    def empty(self) -> bool:
        return not self.lines


def curve(runs: Sequence[Plotted], limit_us: float | None = None) -> Curve:
    """Throughput to the right, latency at p99 and (dashed) p50 upwards."""
    levels = [level for run in runs for level in run.levels]
    across = scale_of(max((level.measurement.throughput for level in levels), default=0))
    up = scale_of(max((level.measurement.p99_us for level in levels), default=0))
    lines: list[Line] = []
    for index, run in enumerate(runs):
        colour = index % COLOURS
        for name, dashed in (("p50", True), ("p99", False)):
            points = [_point(run, level, name, across.top, up.top) for level in run.levels]
            if points:
                path = "M" + " L".join(f"{p.x:g} {p.y:g}" for p in points)
                # The median's points say the same: they are not drawn twice.
                lines.append(Line(path, colour, dashed, [] if dashed else points))
    above = limit_us is not None and limit_us <= up.top
    return Curve(
        summary="; ".join(_said(run) for run in runs if run.levels),
        lines=lines,
        x_ticks=[
            Tick(round(100 * i * across.step / across.top, 2), f"{i * across.step:,g}/s")
            for i in range(across.steps + 1)
        ],
        y_ticks=[Tick(up.y(i * up.step), microseconds(i * up.step)) for i in range(up.steps + 1)],
        limit=up.y(limit_us) if above and limit_us is not None else None,
    )


def level_name(unit: str, value: float) -> str:
    """`8 callers`, `500 req/s`, `16 rows`."""
    if unit == "concurrency":
        return f"{value:g} caller{'' if value == 1 else 's'}"
    if unit == "batch_sizes":
        return f"{value:g} row{'' if value == 1 else 's'}"
    return f"{value:g} req/s"


def _point(run: Plotted, level: PerfLevel, name: str, widest: float, highest: float) -> Point:
    found = level.measurement
    value = found.p50_us if name == "p50" else found.p99_us
    said = [
        f"{run.name}, {level_name(run.unit, level.value)}",
        f"{found.throughput:,.0f} inferences a second",
        *(f"p{p} {microseconds(found.percentile_us(p))}" for p in (50, 90, 95, 99)),
    ]
    return Point(
        round(100 * found.throughput / widest, 2),
        round(100 - 100 * value / highest, 2),
        "\n".join(said),
    )


def _said(run: Plotted) -> str:
    first, last = run.levels[0], run.levels[-1]
    return (
        f"{run.name}: from {first.measurement.throughput:,.0f}/s with p99 "
        f"{microseconds(first.measurement.p99_us)} at {level_name(run.unit, first.value)} to "
        f"{last.measurement.throughput:,.0f}/s with p99 {microseconds(last.measurement.p99_us)} at "
        f"{level_name(run.unit, last.value)}"
    )

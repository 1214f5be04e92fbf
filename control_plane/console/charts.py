"""Charts as geometry: what an inline SVG needs, in units that stretch with the page.

A plot is a viewBox of one unit a bin and 100 in height, drawn without keeping its proportions;
texts stand outside it, at percents, so that no letter is ever stretched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

TICKS = 4
Values = Sequence[float | None]
"""One value a bin; None where nothing is known."""


@dataclass(frozen=True)
class Shape:
    """An SVG path in its colour; `kind` is `area`, `line` or `dashed`."""

    path: str
    colour: int
    kind: str


@dataclass(frozen=True)
class Tick:
    """A text beside the plot; `at` is a percent of its width or height."""

    at: float
    text: str


@dataclass(frozen=True)
class Column:
    """A bin that can be pointed at, and what it says then."""

    x: float
    text: str


@dataclass(frozen=True)
class Chart:
    """Everything of one chart; `summary` says in words what the picture shows."""

    title: str
    summary: str
    bins: int
    shapes: list[Shape]
    columns: list[Column]
    unmeasured: list[Column]
    y_ticks: list[Tick]
    x_ticks: list[Tick]
    empty: bool

    @property
    def view_box(self) -> str:
        """From the middle of the first bin to the middle of the last."""
        return f"0.5 0 {self.bins - 1} 100"


@dataclass(frozen=True)
class Line:
    """What is drawn: its name, its colour, its values."""

    name: str
    colour: int
    values: Values
    dashed: bool = False


@dataclass(frozen=True)
class Frame:
    """What the charts of one page share: the times of the bins and which were measured."""

    times: Sequence[str]
    x_ticks: list[Tick]
    measured: Sequence[bool]

    @property
    def bins(self) -> int:
        return len(self.times)


def stacked(
    frame: Frame, title: str, summary: str, lines: Sequence[Line], say: Callable[[float], str]
) -> Chart:
    """Areas on top of one another: the height is the sum, each band one line's part of it."""
    base: list[float | None] = [0.0 if known else None for known in frame.measured]
    bands = []
    for line in lines:
        top = [
            None if low is None or value is None else low + value
            for low, value in zip(base, line.values, strict=True)
        ]
        bands.append((line, base, top))
        base = top
    scale = Scale(max((value for value in base if value is not None), default=0))
    shapes = [
        Shape(path, line.colour, "area")
        for line, low, top in reversed(bands)
        if (path := _area(low, top, scale))
    ]
    return _chart(frame, title, summary, lines, shapes, scale, say)


def lined(
    frame: Frame, title: str, summary: str, lines: Sequence[Line], say: Callable[[float], str]
) -> Chart:
    """Lines over one another."""
    highest = max((v for line in lines for v in line.values if v is not None), default=0)
    scale = Scale(highest)
    shapes = [
        Shape(path, line.colour, "dashed" if line.dashed else "line")
        for line in lines
        if (path := _path(line.values, scale))
    ]
    return _chart(frame, title, summary, lines, shapes, scale, say)


class Scale:
    """From 0 to a round number at or above the highest value, in equal steps."""

    def __init__(self, highest: float) -> None:
        self.step = _round_up(highest / TICKS) if highest > 0 else 1.0
        self.steps = max(1, math.ceil(highest / self.step - 1e-9)) if highest > 0 else 1
        self.top = self.step * self.steps

    def y(self, value: float) -> float:
        return round(100 - 100 * value / self.top, 2)


def scale_of(highest: float) -> Scale:
    """The scale of a chart whose highest value is that."""
    return Scale(highest)


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= value * 0.9999)


def _chart(
    frame: Frame,
    title: str,
    summary: str,
    lines: Sequence[Line],
    shapes: list[Shape],
    scale: Scale,
    say: Callable[[float], str],
) -> Chart:
    columns = []
    for i, time in enumerate(frame.times):
        said = [
            f"{line.name}: {say(value)}" for line in lines if (value := line.values[i]) is not None
        ]
        columns.append(Column(i, "\n".join([time, *(said or ["not measured"])])))
    return Chart(
        title=title,
        summary=summary,
        bins=frame.bins,
        shapes=shapes,
        columns=columns,
        # The last bin has only begun.
        unmeasured=[columns[i] for i, known in enumerate(frame.measured[:-1]) if not known],
        y_ticks=[
            Tick(scale.y(i * scale.step), say(i * scale.step)) for i in range(scale.steps + 1)
        ],
        x_ticks=frame.x_ticks,
        empty=not shapes,
    )


def _path(values: Values, scale: Scale) -> str:
    parts = []
    for run in _runs(values):
        points = [f"{i + 0.5:g} {scale.y(value):g}" for i, value in run]
        if len(points) == 1:  # a line of one point has no length and is not seen
            i, value = run[0]
            points = [f"{i + 0.3:g} {scale.y(value):g}", f"{i + 0.7:g} {scale.y(value):g}"]
        parts.append("M" + " L".join(points))
    return " ".join(parts)


def _area(low: Values, top: Values, scale: Scale) -> str:
    parts = []
    if all(not (t or 0) - (b or 0) for b, t in zip(low, top, strict=True)):
        return ""
    for run in _runs(top):
        upper = [f"{i + 0.5:g} {scale.y(value):g}" for i, value in run]
        lower = [f"{i + 0.5:g} {scale.y(low[i] or 0):g}" for i, _ in reversed(run)]
        parts.append("M" + " L".join([*upper, *lower]) + " Z")
    return " ".join(parts)


def _runs(values: Values) -> Iterable[list[tuple[int, float]]]:
    """The pieces between gaps."""
    run: list[tuple[int, float]] = []
    for i, value in enumerate(values):
        if value is not None:
            run.append((i, value))
        elif run:
            yield run
            run = []
    if run:
        yield run

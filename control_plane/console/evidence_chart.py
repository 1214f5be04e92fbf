"""A confidence sequence closing in on its limit, as geometry for an inline SVG.

What is drawn is the candidate's figure less the baseline's, or the candidate's alone. A bound that
there is not yet reaches to the edge of the plot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.text import capfirst

from control_plane.console import words
from control_plane.console.charts import Column, Tick

BINS = 120
"""Steps that a run is drawn in, however many looks it took."""

_TICKS = 4
_REACH = 3
"""How many times as far as what decides the plot reaches from the limit, at most."""

_NARROWEST = 0.005
"""That far, where bad begins at what does not differ."""

_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200)


@dataclass(frozen=True)
class Reading:
    """What one look said of one metric; None where it could not say it (yet)."""

    at: datetime
    lower: float | None
    upper: float | None
    estimate: float | None


@dataclass(frozen=True)
class Limit:
    """Where bad begins, and on which side of it; `level` is where nothing differs.

    `least` and `most` are what such a figure can be at all: a ratio is never below 0.
    """

    at: float
    above_is_bad: bool = True
    level: float = 0.0
    least: float = -math.inf
    most: float = math.inf


@dataclass(frozen=True)
class EvidenceChart:
    """Everything of one picture; `summary` says in words what it shows.

    `bad_from` and `bad_height` are the strip on the bad side of the limit, in percent from the top.
    """

    summary: str
    band: str
    upper: str
    lower: str
    estimate: str
    limit_y: float
    limit_text: str
    bad_from: float
    bad_height: float
    columns: list[Column]
    y_ticks: list[Tick]
    x_ticks: list[Tick]

    @property
    def view_box(self) -> str:
        return f"0 0 {BINS} 100"

    @property
    def good_from(self) -> float:
        """The strip on the other side."""
        return 0.0 if self.bad_from else self.bad_height

    @property
    def good_height(self) -> float:
        return 100.0 - self.bad_height


def evidence_chart(
    readings: Sequence[Reading],
    limit: Limit,
    say: Callable[[float], str],
    began: datetime,
    until: datetime,
) -> EvidenceChart:
    """The picture of a run from its begin to its last look; without a reading it is empty."""
    length = max((until - began).total_seconds(), 1.0)
    bins = _binned(readings, began, length)
    scale = _Scale(*_window(bins, limit))
    band, upper, lower = _band(bins, scale)
    limit_y = min(100.0, max(0.0, scale.y(limit.at)))
    return EvidenceChart(
        summary=_summary(readings, limit, say),
        band=band,
        upper=upper,
        lower=lower,
        estimate=_line(((i, one.estimate) for i, one in enumerate(bins) if one is not None), scale),
        limit_y=limit_y,
        limit_text=f"limit {say(limit.at)}",
        bad_from=0.0 if limit.above_is_bad else limit_y,
        bad_height=limit_y if limit.above_is_bad else 100.0 - limit_y,
        columns=[
            Column(i, _told(one, began, say)) for i, one in enumerate(bins) if one is not None
        ],
        y_ticks=[Tick(scale.y(value), say(value)) for value in scale.ticks],
        x_ticks=_x_ticks(length),
    )


def _binned(readings: Iterable[Reading], began: datetime, length: float) -> list[Reading | None]:
    """Each step with the last look until its end: what a look said holds until the next one."""
    bins: list[Reading | None] = [None] * BINS
    for reading in readings:
        place = (reading.at - began).total_seconds() / length * BINS
        bins[min(BINS - 1, max(0, int(place)))] = reading
    last: Reading | None = None
    for i, one in enumerate(bins):
        last = one or last
        bins[i] = last
    return bins


def _window(bins: Sequence[Reading | None], limit: Limit) -> tuple[float, float]:
    """What the plot reaches from and to.

    The bounds only close in, and at first are as wide as can be: what they were in the second half
    has room, as far as it does not make small what is decided now. That is where the nearer bound
    and the estimate are in regard to the limit; the farther bound may run out of the picture.
    """
    late = [one for one in bins[BINS // 2 :] if one is not None]
    figures = ((one.lower, one.upper, one.estimate) for one in late)
    known = [value for each in figures for value in each if value is not None]
    low, high = min([limit.at, limit.level, *known]), max([limit.at, limit.level, *known])
    near = _near(late[-1] if late else None, limit)
    low = max(low, limit.at - _REACH * near) if _any(late, "lower") else limit.at - _REACH * near
    high = min(high, limit.at + _REACH * near) if _any(late, "upper") else limit.at + _REACH * near
    low, high = min(low, limit.at - near), max(high, limit.at + near)
    room = (high - low) * 0.12
    return max(limit.least, low - room), min(limit.most, high + room)


def _near(last: Reading | None, limit: Limit) -> float:
    """How far from the limit that lies which decides: the estimate, and the nearer bound."""
    # Not 0.005 at least: a figure may be a hundredth of that, and nobody knows its unit.
    least = abs(limit.at - limit.level) or _NARROWEST
    if last is None:
        return least
    bounds = [abs(one - limit.at) for one in (last.lower, last.upper) if one is not None]
    measured = 0.0 if last.estimate is None else abs(last.estimate - limit.at)
    return max(least, measured, min(bounds, default=0.0))


def _any(late: Sequence[Reading], bound: str) -> bool:
    """Whether there was such a bound at any of these looks."""
    return any(getattr(one, bound) is not None for one in late)


class _Scale:
    """From `low` at the foot of the plot to `high` at its top."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high
        step = _round_up((high - low) / _TICKS)
        first = math.ceil(low / step - 1e-9)
        last = math.floor(high / step + 1e-9)
        self.ticks = [i * step for i in range(first, last + 1)]

    def y(self, value: float) -> float:
        return round(100 - 100 * (value - self.low) / (self.high - self.low), 2)

    def clipped(self, value: float) -> float:
        """Within a little more than the plot: an edge outside of it is not seen."""
        return min(110.0, max(-10.0, self.y(value)))


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= value * 0.9999)


def _band(bins: Sequence[Reading | None], scale: _Scale) -> tuple[str, str, str]:
    """The area between the bounds, its upper edge, its lower edge: steps, as the looks were."""
    known = [(i, one) for i, one in enumerate(bins) if one is not None]
    if not known:
        return "", "", ""
    tops = [(i, -10.0 if o.upper is None else scale.clipped(o.upper)) for i, o in known]
    feet = [(i, 110.0 if o.lower is None else scale.clipped(o.lower)) for i, o in known]
    top, foot = _steps(tops), _steps(feet)
    area = "M" + " L".join([*top, *reversed(foot)]) + " Z"
    return area, "M" + " L".join(top), "M" + " L".join(foot)


def _steps(points: Iterable[tuple[int, float]]) -> list[str]:
    return [f"{x} {y:g}" for i, y in points for x in (i, i + 1)]


def _line(points: Iterable[tuple[int, float | None]], scale: _Scale) -> str:
    steps = _steps((i, scale.clipped(value)) for i, value in points if value is not None)
    return "M" + " L".join(steps) if steps else ""


def _x_ticks(length: float) -> list[Tick]:
    """Times since the begin, at most six; none so near to an end that it would be cut off."""
    step = next(
        (one for one in _STEPS_S if length / one <= 6), 86_400 * math.ceil(length / 518_400)
    )
    ticks = []
    for i in range(int(length // step) + 1):
        percent = 100 * i * step / length
        if 4 <= percent <= 96:
            ticks.append(Tick(round(percent, 2), words.lasting(timedelta(seconds=i * step))))
    return ticks


def _told(one: Reading, began: datetime, say: Callable[[float], str]) -> str:
    after = words.lasting(timedelta(seconds=round((one.at - began).total_seconds())))
    return f"{one.at:%H:%M:%S} UTC, after {after}\n{bounds_said(one, say)}"


def bounds_said(one: Reading, say: Callable[[float], str]) -> str:
    """The bounds and the estimate of a look, in words."""
    if one.lower is None and one.upper is None:
        said = "no bound yet"
    elif one.lower is None:
        said = f"at most {say(one.upper or 0.0)}"
    elif one.upper is None:
        said = f"at least {say(one.lower)}"
    else:
        said = f"between {say(one.lower)} and {say(one.upper)}"
    return said if one.estimate is None else f"{said}; measured {say(one.estimate)}"


def _summary(readings: Sequence[Reading], limit: Limit, say: Callable[[float], str]) -> str:
    if not readings:
        return "No look was taken yet."
    return f"{capfirst(bounds_said(readings[-1], say))}; the limit is {say(limit.at)}."

"""An endpoint's traffic, latency and failures over time, arm by arm."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from control_plane import wiring
from control_plane.console import words
from control_plane.console.charts import Chart, Frame, Line, Tick, lined, stacked
from control_plane.console.overview import EndpointCard
from control_plane.domain.latency import merged, quantile
from control_plane.endpoints.budgets import Budget, budget_of
from control_plane.endpoints.models import Endpoint
from control_plane.telemetry.series import Bin, Series

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Span:
    """How far back a chart goes, and in which steps; `every_s` is how often it is asked anew."""

    key: str
    words: str
    step: timedelta
    bins: int
    every_s: int
    tick: timedelta
    clock: str


SPANS = (
    Span("5m", "5 min", timedelta(seconds=10), 31, 5, timedelta(minutes=1), "%H:%M"),
    Span("1h", "1 h", timedelta(minutes=1), 61, 15, timedelta(minutes=15), "%H:%M"),
    Span("24h", "24 h", timedelta(minutes=15), 97, 60, timedelta(hours=6), "%H:%M"),
)
WORTH_SHOWING = 0.3
"""A bin of which less than this is known says too little of its rate."""


def span_of(key: str | None) -> Span:
    """The span of that key, or the shortest."""
    return next((span for span in SPANS if span.key == key), SPANS[0])


@dataclass(frozen=True)
class ArmFigures:
    """One arm over the whole span: the legend, and in words what the charts show."""

    name: str
    colour: int
    requests: int
    share: float | None
    failed_percent: float | None
    p50_us: float | None
    p90_us: float | None
    p99_us: float | None


@dataclass(frozen=True)
class Charts:
    """The charts of an endpoint; `known` is False where the telemetry does not answer."""

    span: Span
    known: bool
    charts: list[Chart]
    arms: list[ArmFigures]


def endpoint_charts(card: EndpointCard, span: Span, now: datetime) -> Charts:
    """Reads the telemetry and draws; the page goes on without it."""
    try:
        series = wiring.telemetry().series(card.endpoint.name, now, span.step, span.bins)
    except SQLAlchemyError:
        logger.warning("the telemetry store does not answer", exc_info=True)
        return Charts(span, False, [], [])
    named = {arm.physical: (arm.name, arm.colour, arm.primary) for arm in card.arms if arm.physical}
    drawn = [
        _Drawn(*named.get(physical, (physical, -1, False)), series.arms.get(physical, {}))
        for physical in [*named, *(arm for arm in series.arms if arm not in named)]
    ]
    frame = _frame(series, span)
    figures = _figures(drawn)
    return Charts(
        span, True, [_rates(frame, series, drawn), *_qualities(frame, series, drawn)], figures
    )


@dataclass(frozen=True)
class _Drawn:
    name: str
    colour: int
    primary: bool
    bins: Mapping[int, Bin]


def _frame(series: Series, span: Span) -> Frame:
    times = [
        f"{series.at(i):%Y-%m-%d %H:%M:%S} to {series.at(i + 1):%H:%M:%S} UTC"
        for i in range(series.bins)
    ]
    known = [
        series.measured[i] and series.seconds(i) >= WORTH_SHOWING * series.step.total_seconds()
        for i in range(series.bins)
    ]
    return Frame(times, _x_ticks(series, span), known)


def _x_ticks(series: Series, span: Span) -> list[Tick]:
    """At the round times; none so near to an end that half of it would be cut off."""
    ticks = []
    for i in range(series.bins):
        at = series.at(i)
        percent = 100 * (i - 0.5) / (series.bins - 1)
        if not int(at.timestamp()) % int(span.tick.total_seconds()) and 4 <= percent <= 96:
            ticks.append(Tick(round(percent, 2), f"{at:{span.clock}}"))
    return ticks


def _own_requests(drawn: list[_Drawn], arm: _Drawn, i: int) -> float:
    """What it got by the policy: of the primary's attempts some were another arm's requests."""
    got = arm.bins[i].requests if i in arm.bins else 0.0
    if arm.primary:
        got -= sum(other.bins[i].handed_on for other in drawn if i in other.bins)
    return max(0.0, got)


def _rates(frame: Frame, series: Series, drawn: list[_Drawn]) -> Chart:
    lines = [
        Line(
            arm.name,
            arm.colour,
            [
                _own_requests(drawn, arm, i) / series.seconds(i) if known else None
                for i, known in enumerate(frame.measured)
            ],
        )
        for arm in drawn
    ]
    last = [f"{line.name} {_rate(value)}" for line in lines if (value := _last(line)) is not None]
    summary = f"Now {', '.join(last)}." if last else "Nothing was measured."
    return stacked(frame, "Requests per second", summary, lines, _rate)


def _qualities(frame: Frame, series: Series, drawn: list[_Drawn]) -> list[Chart]:
    """Latency and failures: of the bins in which there was a request."""
    latencies, failures = [], []
    for arm in drawn:
        bins = [arm.bins.get(i) if frame.measured[i] else None for i in range(series.bins)]
        for q, word in ((0.5, "p50"), (0.99, "p99")):
            values = [each.quantile_us(q) if each else None for each in bins]
            latencies.append(Line(f"{arm.name} {word}", arm.colour, values, dashed=q < 0.9))
        percents = [
            100 * each.failures / each.requests if each and each.requests else None for each in bins
        ]
        failures.append(Line(arm.name, arm.colour, percents))
    said = _now(latencies, words.microseconds)
    return [
        lined(frame, "Latency, p99 and p50 (dashed)", said, latencies, words.microseconds),
        lined(frame, "Failed", _now(failures, words.percent), failures, words.percent),
    ]


def _now(lines: list[Line], say: Callable[[float], str]) -> str:
    last = [f"{line.name} {say(value)}" for line in lines if (value := _last(line)) is not None]
    return f"Last {', '.join(last)}." if last else "No request in this time."


def _last(line: Line) -> float | None:
    return next((value for value in reversed(line.values) if value is not None), None)


def _figures(drawn: list[_Drawn]) -> list[ArmFigures]:
    got = {arm.name: sum(_own_requests(drawn, arm, i) for i in arm.bins) for arm in drawn}
    total = sum(got.values())
    found = []
    for arm in drawn:
        attempts = sum(each.requests for each in arm.bins.values())
        failures = sum(each.failures for each in arm.bins.values())
        sketch = merged(each.buckets for each in arm.bins.values())
        found.append(
            ArmFigures(
                name=arm.name,
                colour=arm.colour,
                requests=round(got[arm.name]),
                share=100 * got[arm.name] / total if total else None,
                failed_percent=100 * failures / attempts if attempts else None,
                p50_us=quantile(sketch, 0.5),
                p90_us=quantile(sketch, 0.9),
                p99_us=quantile(sketch, 0.99),
            )
        )
    return found


def _rate(value: float) -> str:
    return f"{words.number(value)}/s"


def known_budget(endpoint: Endpoint) -> Budget:
    """How the endpoint's error budget stands; nothing is known where the store does not answer."""
    try:
        return budget_of(endpoint, wiring.telemetry(), wiring.clock().now())
    except SQLAlchemyError:
        logger.warning("the telemetry store does not answer", exc_info=True)
        return Budget(None)

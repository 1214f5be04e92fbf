"""How well an endpoint is served: its figures by arm and step, and where a request's time goes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from sqlalchemy.exc import SQLAlchemyError

from control_plane import wiring
from control_plane.console.finding_try import shown_try, try_context
from control_plane.console.overview import COLOURS, Segment
from control_plane.console.record_admin import RecordAdmin
from control_plane.console.words import microseconds
from control_plane.domain.kpis.opportunities import Opportunity
from control_plane.domain.kpis.report import (
    ArmReport,
    EndpointReport,
    ModelFigures,
    RequestFigures,
)
from control_plane.domain.kpis.span import Span, read_span
from control_plane.domain.kpis.time_parts import PARTS, Part
from control_plane.domain.violations import InvalidInputError
from control_plane.endpoints.kpis import EndpointKpis, endpoint_kpis
from control_plane.endpoints.models import Endpoint
from control_plane.telemetry.store import RETENTION
from control_plane.tuning.tries import Place, Tried, place_of, tries_of

logger = logging.getLogger(__name__)

SHOWN_FINDINGS = 8
WINDOWS = {"5m": "5 min", "1h": "1 h", "24h": "24 h"}
WORDS = {
    "network": "network",
    "router": "router",
    "queue": "queue",
    "copy_in": "copy in",
    "compute": "compute",
    "copy_out": "copy out",
    "rest": "the rest",
}

BETWEEN = "between its steps"
"""What is left of a pipeline: it goes from step to step."""


@dataclass(frozen=True)
class TimeRow:
    """One bar: an arm, or a step of the arm before it, to the same scale."""

    name: str
    what: str
    colour: int
    total_us: float
    bar: list[Segment]
    legend: list[tuple[int, str]]
    step: bool = False


@dataclass(frozen=True)
class _About:
    """What a bar is of; `rest` is the word for what nobody accounts for."""

    name: str
    what: str
    colour: int
    rest: str
    step: bool = False


@dataclass(frozen=True)
class RequestRow:
    """A line of what callers got; `share` is a percent."""

    name: str
    colour: int | None
    share: float | None
    figures: RequestFigures

    @property
    def failed(self) -> float | None:
        share = self.figures.failed_share
        return None if share is None else 100 * share


@dataclass(frozen=True)
class ModelRow:
    """A line of what the model of an arm or a step did."""

    name: str
    step: bool
    shared: bool
    figures: ModelFigures

    @property
    def percents(self) -> dict[str, float | None]:
        """The figures that are shares, as percents."""
        names = ("queue_share", "utilisation", "cache_hit_share")
        found = {name: getattr(self.figures, name) for name in names}
        return {name: None if one is None else 100 * one for name, one in found.items()}


def kpis_page(pages: RecordAdmin, request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """The page, over `?window=`, or from `?since=` until `?until=` (UTC)."""
    said = {key: request.GET.get(key, "").strip() for key in ("window", "since", "until")}
    context: dict[str, Any] = {"original": endpoint, "windows": WINDOWS, "said": said}
    context |= try_context(request, said)
    try:
        found = _found(endpoint, _span(said))
        context |= _shown(found, tries_of(endpoint.name, found.findings, wiring.telemetry()))
    except InvalidInputError as error:
        context["error"] = error.violations[0].detail
    except SQLAlchemyError:
        logger.warning("the telemetry store does not answer", exc_info=True)
        context["error"] = "The telemetry store does not answer. Serving goes on without it."
    return pages.page(request, "console/kpis.html", f"How well {endpoint} is served", context)


def _span(said: Mapping[str, str]) -> Span:
    moments = [_moment(said[key]) for key in ("since", "until")]
    window = said["window"] or None
    return read_span(window, *moments, now=wiring.clock().now(), kept=RETENTION)


def _moment(text: str) -> datetime | None:
    """A time as the form sends it, without a zone: the console speaks UTC everywhere."""
    try:
        moment = datetime.fromisoformat(text) if text else None
        return moment and (moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except ValueError:
        return None


def _found(endpoint: Endpoint, span: Span) -> EndpointKpis:
    return endpoint_kpis(
        name=endpoint.name, span=span, store=wiring.telemetry(), network_of=wiring.network_to
    )


def _shown(found: EndpointKpis, tries: Mapping[Place, Tried]) -> dict[str, Any]:
    report = found.report
    first, last = report.figures.first_p50_us, report.figures.p50_us
    return {
        "report": report,
        "findings": [
            _finding(one, tries.get(place_of(one))) for one in found.findings[:SHOWN_FINDINGS]
        ],
        "requests": list(_requests(report)),
        "models": list(_models(report.arms)),
        "time_rows": list(_time_rows(report.arms)),
        # Else the first response is the last one, and its columns say nothing.
        "streams": bool(first and last and first < 0.8 * last),
        "failed": None
        if report.figures.failed_share is None
        else 100 * report.figures.failed_share,
    }


def _finding(one: Opportunity, tried: Tried | None) -> dict[str, Any]:
    """A finding with what it saves, as a percent of a request; and what was measured of it."""
    return {
        "of": one,
        "where": f"{one.arm}, step {one.step}" if one.step else one.arm,
        "percent": 100 * one.saves_us / one.of_us,
        "set": json.dumps(one.overrides) if one.overrides else "",
        "tried": shown_try(tried) if tried else None,
        "can_be_tried": one.experiment is not None and (tried is None or tried.over),
    }


def _requests(report: EndpointReport) -> Iterator[RequestRow]:
    yield RequestRow("callers", None, None, report.figures)
    for i, arm in enumerate(report.arms):
        share = None if arm.share is None else 100 * arm.share
        yield RequestRow(_named(arm), _arm_colour(arm, i), share, arm.figures)


def _models(arms: Sequence[ArmReport]) -> Iterator[ModelRow]:
    for arm in arms:
        if arm.model:
            yield ModelRow(_named(arm), False, arm.shared, arm.model)
        for step in arm.steps:
            if step.model:
                yield ModelRow(f"{step.step} ({step.target})", True, False, step.model)


def _time_rows(arms: Sequence[ArmReport]) -> Iterator[TimeRow]:
    for i, arm in enumerate(arms):
        if not arm.time:
            continue
        whole = sum(part.us for part in arm.time)
        rest = BETWEEN if arm.steps else WORDS["rest"]
        about = _About(_named(arm), arm.target, _arm_colour(arm, i), rest)
        yield _row(about, arm.time, whole)
        for step in arm.steps:
            if step.time:
                about = _About(step.step, step.target, -1, WORDS["rest"], step=True)
                yield _row(about, step.time, whole)


def _row(about: _About, parts: Sequence[Part], whole: float) -> TimeRow:
    total = sum(part.us for part in parts)
    scale = max(whole, total) or 1.0
    bar, x = [], 0.0
    for part in parts:
        width = 100 * part.us / scale
        word = about.rest if part.name == "rest" else WORDS[part.name]
        said = f"{word} {microseconds(part.us)}, {100 * part.us / (total or 1):.0f} %"
        bar.append(Segment(round(x, 2), round(width, 2), _colour(part.name), said))
        x += width
    legend = [(one.colour, one.title) for one in bar if one.width]
    return TimeRow(about.name, about.what, about.colour, total, bar, legend, about.step)


def _colour(part: str) -> int:
    return -1 if part == "rest" else PARTS.index(part)


def _arm_colour(arm: ArmReport, place: int) -> int:
    return place % COLOURS if arm.name else -1


def _named(arm: ArmReport) -> str:
    return arm.name or arm.physical

"""A perf run's page: where it is, its curve and levels, where time goes, and others beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from control_plane import wiring
from control_plane.console.overview import Segment
from control_plane.console.perf_curve import Plotted, curve, level_name
from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.console.words import microseconds, served
from control_plane.domain.perf.summary import STEADY
from control_plane.telemetry.perf import PerfLevel
from control_plane.tuning.models import PerfRun
from control_plane.tuning.results import files_of, levels_of, peak_of, with_levels
from control_plane.tuning.selectors import perf_runs

BESIDE = 4
OFFERED = 12
"""Runs that are drawn beside one at most, and those of the same name that are offered."""

PARTS = {
    "queue": "queue",
    "compute_input": "compute input",
    "compute_infer": "compute infer",
    "compute_output": "compute output",
    "network": "network and endpoint",
    "client": "client",
    "rest": "the rest",
}


@dataclass(frozen=True)
class LevelRow:
    """A level as the table has it; `remarks` say what to doubt of it."""

    name: str
    level: PerfLevel
    peak: bool
    remarks: list[str]


@dataclass(frozen=True)
class Beside:
    """Another run, in the colour that it is drawn in."""

    run: PerfRun
    name: str
    colour: int
    peak: PerfLevel | None
    peak_name: str
    url: str


def perf_context(run: PerfRun, beside: Iterable[PerfRun] = ()) -> dict[str, Any]:
    """What the live part shows, of a run and of those drawn beside it."""
    [run, *others] = with_levels([run, *beside], wiring.telemetry())
    asked = run.asked
    best = peak_of(run)
    drawn = [_plotted(one) for one in (run, *others)]
    shown = best or (levels_of(run)[-1] if levels_of(run) else None)
    return {
        "run": run,
        "asked": asked,
        "url": change_url(run),
        "curve": curve(drawn, asked.latency_limit),
        "rows": [_row(run, level, best) for level in levels_of(run)],
        "best": best,
        "best_name": _named(run, best),
        "shown_name": _named(run, shown),
        "shown": shown,
        "time_bar": _time_bar(shown) if shown else [],
        "progress": _progress(run),
        "beside": [_beside(one, index) for index, one in enumerate((run, *others))],
        "others": others,
        "limit": None if asked.latency_limit is None else microseconds(asked.latency_limit),
    }


def perf_page(pages: RecordAdmin, request: HttpRequest, run: PerfRun) -> HttpResponse:
    """The page; `?with=` names other runs to draw beside it."""
    beside = _asked_for(request, run)
    same = perf_runs().filter(name=run.name, state="succeeded").exclude(pk=run.pk)
    may = request.user.has_perm("tuning.change_perfrun")
    context = {
        **perf_context(run, beside),
        "original": run,
        "offered": with_levels(same[:OFFERED], wiring.telemetry()),
        "chosen": {one.pk for one in beside},
        "may_cancel": may and not run.over and run.state != "cancelling",
        "may_accept": may and _acceptable(run),
        "files": _files(run),
        "version_url": change_url(run.version) if run.version else "",
    }
    return pages.page(request, "console/perf_run.html", f"Perf run {run.pk}", context)


def _acceptable(run: PerfRun) -> bool:
    return run.state == "succeeded" and run.kind == "version" and run.accepted_at is None


def live_perf_run(request: HttpRequest, number: int) -> HttpResponse:
    """The live part of a run's page."""
    if not admin.site.has_permission(request):
        return HttpResponse(headers={"HX-Redirect": reverse("admin:login")})
    if not request.user.has_perm("tuning.view_perfrun"):
        raise PermissionDenied
    run = perf_runs().filter(pk=number).first()
    if run is None:
        return HttpResponse(headers={"HX-Redirect": reverse("admin:tuning_perfrun_changelist")})
    context = perf_context(run, _asked_for(request, run))
    response = render(request, "console/parts/perf_live.html", context)
    response["Cache-Control"] = "no-store"
    return response


def _asked_for(request: HttpRequest, run: PerfRun) -> list[PerfRun]:
    texts = request.GET.getlist("with")
    numbers = [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) <= 9]
    wanted = [number for number in dict.fromkeys(numbers) if number != run.pk][:BESIDE]
    found = {one.pk: one for one in perf_runs().filter(pk__in=wanted)}
    return [found[number] for number in wanted if number in found]


def _plotted(run: PerfRun) -> Plotted:
    return Plotted(_called(run), levels_of(run), run.asked.load.kind)


def _beside(run: PerfRun, colour: int) -> Beside:
    best = peak_of(run)
    return Beside(run, _called(run), colour, best, _named(run, best), change_url(run))


def _called(run: PerfRun) -> str:
    return f"#{run.pk} {served(run.target.to_document())}"


def _named(run: PerfRun, level: PerfLevel | None) -> str:
    return level_name(run.asked.load.kind, level.value) if level else ""


def _row(run: PerfRun, level: PerfLevel, best: PerfLevel | None) -> LevelRow:
    found = level.measurement
    remarks = []
    if found.spread > STEADY:
        remarks.append(f"unsteady, windows {found.spread:.0f}\N{NO-BREAK SPACE}% apart")
    if found.delayed >= 1:
        remarks.append(f"{found.delayed:.0f} % of its requests left late")
    limit = run.asked.latency_limit
    if limit is not None and found.percentile_us(run.asked.percentile) > limit:
        remarks.append("above the limit")
    return LevelRow(_named(run, level), level, level is best, remarks)


def _time_bar(level: PerfLevel) -> list[Segment]:
    parts = level.measurement.parts_us
    total = sum(parts.values()) or 1.0
    found, x = [], 0.0
    for index, (name, us) in enumerate(parts.items()):
        width = 100 * us / total
        colour = -1 if name == "rest" else index
        said = f"{PARTS[name]} {microseconds(us)}, {width:.0f} %"
        found.append(Segment(round(x, 2), round(width, 2), colour, said))
        x += width
    return found


def _progress(run: PerfRun) -> dict[str, Any]:
    done = run.progress
    if run.over or not done:
        return {}
    name = level_name(str(done.get("kind")), float(done.get("level") or 0))
    share = 100 * int(done.get("done", 0)) / max(1, int(done.get("of") or 1))
    return {**done, "name": name, "share": round(share, 1), "at": int(done.get("done", 0)) + 1}


def _files(run: PerfRun) -> list[tuple[int, str, str]]:
    """(level, name, address) of what the load generator wrote and is kept."""
    return [
        (level + 1, name, reverse("api:perf-file", args=[run.pk, level, name]))
        for level, name in files_of(run, wiring.telemetry())
    ]

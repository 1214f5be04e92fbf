"""A tune's page: where it is, what was measured, the Pareto front, the trials and the diff."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from control_plane import wiring
from control_plane.console.diff import DiffLine
from control_plane.console.perf_curve import level_name
from control_plane.console.record_admin import RecordAdmin, change_url
from control_plane.console.tune_scatter import scatter
from control_plane.console.words import microseconds
from control_plane.domain.tuning.configuration import Configuration
from control_plane.domain.tuning.pareto import best_of, front
from control_plane.domain.tuning.request import Objective, TuneRequest
from control_plane.domain.tuning.states import TrialKind
from control_plane.domain.tuning.study import Level, Point, points_of
from control_plane.tuning.models import Tune, TuneTrial
from control_plane.tuning.tune_selectors import study_of, whole_tunes

PURPOSES = {
    TrialKind.BASELINE: "as it is",
    TrialKind.CALIBRATION: "calibration",
    TrialKind.SEED: "the model's best",
    TrialKind.SEARCH: "search",
    TrialKind.CONFIRMATION: "once more",
}


@dataclass(frozen=True)
class TrialRow:
    """A trial as the table has it: one line for each load."""

    trial: TuneTrial
    purpose: str
    said: str
    loads: str
    levels: list[tuple[str, Level, str]]
    run_url: str


def tune_context(tune: Tune) -> dict[str, Any]:
    """What the live part shows."""
    request, space = tune.asked, tune.searched
    trials = study_of(tune, wiring.telemetry())
    points = points_of(request, trials)
    result = tune.result or {}
    chosen = _chosen(result)
    limit = request.latency_limit
    levels = {one.number: list(one.levels) for one in trials}
    rows = [_row(request, row, levels.get(row.number, [])) for row in tune.trials.all()]
    best = best_of(request, points)
    return {
        "tune": tune,
        "asked": request,
        "goal": goal(request),
        "scatter": scatter(
            points,
            front=front(points),
            present=space.present,
            chosen=chosen,
            unit=request.load_kind,
            limit_us=limit,
        ),
        "limit": None if limit is None else microseconds(limit),
        "percentile": f"p{request.percentile}",
        "rows": rows,
        "at": rows[-1] if rows and not tune.over else None,
        "share": min(100.0, 100 * len(rows) / request.trials),
        "best": _shown(request, best),
        "result": result,
        "chosen": result.get("chosen"),
        "chosen_at": _at(request, result.get("chosen")),
        "diff": _lines(result.get("diff", "")),
        "front": [_shown(request, one) for one in front(points)] if tune.over else [],
        "fixed": sorted(space.fixed.items()),
        "url": change_url(tune),
    }


def tune_page(pages: RecordAdmin, request: HttpRequest, tune: Tune) -> HttpResponse:
    """The page of one tune."""
    may = request.user.has_perm("tuning.change_tune")
    tune = whole_tunes().select_related("version__model").get(pk=tune.pk)
    context = {
        **tune_context(tune),
        "original": tune,
        "may_cancel": may and not tune.over and tune.state != "cancelling",
        "may_apply": tune.state == "succeeded" and bool((tune.result or {}).get("overrides")),
        "version_url": change_url(tune.version) if tune.version else "",
    }
    return pages.page(request, "console/tune.html", f"Tune {tune.pk}", context)


def live_tune(request: HttpRequest, number: int) -> HttpResponse:
    """The live part of a tune's page."""
    if not admin.site.has_permission(request):
        return HttpResponse(headers={"HX-Redirect": reverse("admin:login")})
    if not request.user.has_perm("tuning.view_tune"):
        raise PermissionDenied
    tune = whole_tunes().filter(pk=number).first()
    if tune is None:
        return HttpResponse(headers={"HX-Redirect": reverse("admin:tuning_tune_changelist")})
    if tune.over:
        # Its end brings the button and the diff: the page is asked for anew.
        return HttpResponse(headers={"HX-Refresh": "true"})
    response = render(request, "console/parts/tune_live.html", tune_context(tune))
    response["Cache-Control"] = "no-store"
    return response


def goal(request: TuneRequest) -> str:
    """`most throughput, p99 within 20 ms`."""
    percentile = f"p{request.percentile}"
    if request.objective is Objective.LATENCY:
        return f"least {percentile} at {request.rate:g} requests a second"
    if request.latency_limit is None:
        return "most throughput"
    return f"most throughput, {percentile} within {microseconds(request.latency_limit)}"


def _chosen(result: dict[str, Any]) -> tuple[Configuration, float] | None:
    point = result.get("chosen")
    return (Configuration.from_document(point["configuration"]), point["load"]) if point else None


def _row(request: TuneRequest, row: TuneTrial, levels: list[Level]) -> TrialRow:
    calibrates = row.purpose is TrialKind.CALIBRATION
    unit = "batch_sizes" if calibrates else request.load_kind
    shown = [
        (
            level_name(unit, one.load),
            one,
            microseconds(one.measurement.percentile_us(request.percentile)),
        )
        for one in levels
    ]
    return TrialRow(
        trial=row,
        purpose=PURPOSES[row.purpose],
        said=str(row.tried),
        loads=", ".join(level_name(unit, load) for load in row.loads),
        levels=shown,
        run_url=change_url(row.run) if row.run else "",
    )


def _shown(request: TuneRequest, point: Point | None) -> dict[str, Any] | None:
    if point is None:
        return None
    return {
        "said": str(point.configuration),
        "at": level_name(request.load_kind, point.load),
        "throughput": point.throughput,
        "latency": microseconds(point.latency_us),
        "instances": point.cost,
        "within": point.within,
        "trials": ", ".join(map(str, point.trials)),
    }


def _at(request: TuneRequest, point: dict[str, Any] | None) -> str:
    return level_name(request.load_kind, point["load"]) if point else ""


def _lines(text: str) -> list[DiffLine]:
    kinds = {"+": "add", "-": "remove", "@": "hunk"}
    lines = [line for line in text.splitlines() if not line.startswith(("--- ", "+++ "))]
    return [DiffLine(kinds.get(line[:1], "same"), line) for line in lines]

"""What the page of a pipeline shows: the graph of one of its revisions, and how that does."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from sqlalchemy.exc import SQLAlchemyError

from control_plane import wiring
from control_plane.console.record_admin import change_url
from control_plane.console.rights import visible
from control_plane.domain.pipelines.layout import Drawing, Node, drawing
from control_plane.domain.pipelines.pattern_layout import pattern_drawing
from control_plane.domain.pipelines.patterns import PipelineKind
from control_plane.domain.pipelines.performance import StepFigures, SystemFigures
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.pipeline_figures import pipeline_figures
from control_plane.registry.models import ModelVersion, Pipeline, PipelineRevision
from control_plane.registry.pipelines import KnownPipeline, known, revisions
from control_plane.registry.selectors import ready_versions

logger = logging.getLogger(__name__)

LATELY = timedelta(minutes=2)
"""What was sampled longer ago says nothing of models that are there now."""


@dataclass(frozen=True)
class StepRow:
    """A step as the page lists it; `version` None is not ready, or a pipeline of its own kind."""

    name: str
    runs: str
    version: ModelVersion | None
    url: str
    provenance: str
    figures: StepFigures | None

    @property
    def right(self) -> float | None:
        """How many of the requests it answered, in percent."""
        share = self.figures.availability if self.figures else None
        return None if share is None else 100 * share


def pipeline_context(request: HttpRequest, pipeline: Pipeline) -> dict[str, Any]:
    """The revision that the address asks for, else the newest."""
    rows = list(revisions().filter(pipeline=pipeline))
    row = _asked(request, pipeline, rows)
    found = known(row)
    places = wiring.serving().of_pipelines([one.id for one in rows])
    figures = _figures(found)
    drawn = _drawn(found)
    return {
        "shown": row,
        "known": found,
        "drawing": drawn,
        "boxes": _boxes(drawn, figures),
        "steps": _steps(request, found, figures),
        "figures": figures,
        "availability": 100 * figures.availability if figures.availability is not None else None,
        "apply_command": f"nereid pipelines show {pipeline.name} > {pipeline.name}.yaml",
        "revisions": [(one, _links(request, places.get(one.id, ()))) for one in rows],
        "may_measure": request.user.has_perm("tuning.add_perfrun"),
    }


def revision_asked(request: HttpRequest, pipeline: Pipeline) -> PipelineRevision:
    """The revision that the address asks for, else the newest."""
    return _asked(request, pipeline, list(revisions().filter(pipeline=pipeline)))


def _asked(
    request: HttpRequest, pipeline: Pipeline, rows: list[PipelineRevision]
) -> PipelineRevision:
    asked = request.GET.get("revision", "")
    wanted = int(asked) if asked.isascii() and asked.isdigit() else pipeline.newest
    return next((one for one in rows if one.number == wanted), rows[0])


def _drawn(found: KnownPipeline) -> Drawing | None:
    if found.wiring is None:
        return None
    if found.document.kind == PipelineKind.ENSEMBLE:
        return drawing(found.wiring, found.steps)
    return pattern_drawing(found.document, found.wiring)


def _figures(found: KnownPipeline) -> SystemFigures:
    return pipeline_figures(found, _totals, wiring.clock().now() - LATELY)


def _totals(models: Collection[str], since: datetime) -> Mapping[str, Mapping[str, int]]:
    try:
        return wiring.telemetry().totals(models, since)
    except SQLAlchemyError:
        logger.warning("the telemetry store does not answer", exc_info=True)
        return {}


def _boxes(drawn: Drawing | None, figures: SystemFigures) -> list[tuple[Node, str]]:
    """Each box with what is said in its second line."""
    latencies = {one.step: one.latency_ms for one in figures.steps}
    said = []
    for node in drawn.nodes if drawn else ():
        if node.step is None:
            words = "callers send" if node.kind == "input" else "callers get"
        else:
            words = f"{node.step.runs.name}:{node.step.runs.number}"
            if (latency := latencies.get(node.name)) is not None:
                words += f" · {latency:.3g} ms"
        said.append((node, words))
    return said


def _steps(request: HttpRequest, found: KnownPipeline, figures: SystemFigures) -> list[StepRow]:
    keys = [step.runs.key for step in found.steps if not step.runs.pipeline]
    versions = ready_versions(keys)
    rows = ModelVersion.objects.filter(pk__in=[version.pk for version in versions.values()])
    seen = set(visible(request.user, rows).values_list("pk", flat=True))
    measured = {one.step: one for one in figures.steps}
    listed = []
    for step in found.steps:
        version = versions.get(step.runs.key)
        url = change_url(version) if version is not None and version.pk in seen else ""
        commit = str((version.provenance if version else {}).get("git_commit", ""))[:12]
        runs = f"{step.runs.name}:{step.runs.number}"
        listed.append(StepRow(step.name, runs, version, url, commit, measured.get(step.name)))
    return listed


def _links(request: HttpRequest, places: Any) -> list[dict[str, Any]]:
    names = {place.endpoint for place in places}
    rows = visible(request.user, Endpoint.objects.filter(name__in=names))
    urls = {endpoint.name: change_url(endpoint) for endpoint in rows}
    return [{"place": place, "url": urls.get(place.endpoint, "")} for place in places]

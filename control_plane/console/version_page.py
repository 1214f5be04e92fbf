"""What a version's page shows beside its fields: state, places, figures beside those before."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.http import urlencode

from control_plane.console.model_page import columns_of, metric_sets
from control_plane.console.profile_page import profile_text
from control_plane.console.record_admin import change_url
from control_plane.console.templatetags.console import json_text
from control_plane.console.version_life import golden_of, golden_results, life_of
from control_plane.domain.registry.provenance import KNOWN, is_empty
from control_plane.registry.lifecycle import alias_names, str_of
from control_plane.registry.models import ModelVersion, PipelineStep, VersionState
from control_plane.registry.pipelines import steps_of
from control_plane.registry.selectors import effective_document


def page_context(request: HttpRequest, version: ModelVersion) -> dict[str, Any]:
    """The version among its own: aliases, places, and the version before it to measure by."""
    [column] = columns_of(request, [version], {version.id: alias_names(version)})
    siblings = version.model.versions.filter(number__lt=version.number).exclude(
        state=VersionState.REJECTED
    )
    before = siblings.order_by("-number").first()
    model_url = change_url(version.model)
    compared = [("v", version.number), ("v", before.number)] if before else []
    return {
        "column": column,
        "before": before,
        "model_url": model_url,
        "compared_url": f"{model_url}?{urlencode(compared)}#compare" if before else "",
        "metric_sets": metric_sets([version, before] if before else [version]),
        "provenance": _provenance(version),
        "next_command": _next_command(version, bool(column.places)),
        "overrides": json_text(version.overrides) if version.overrides else "",
        "effective": _effective(version),
        "life": life_of(version),
        "steps_of": _steps_of(request, version),
        "golden": golden_of(version),
        "golden_results": golden_results(request.user, version) if version.golden_id else [],
        "files": list(version.files.select_related("artifact")),
        "may_edit": request.user.has_perm("registry.change_modelversion", version),
    }


def _steps_of(request: HttpRequest, version: ModelVersion) -> list[tuple[PipelineStep, str]]:
    """The revisions of pipelines that it is a step of, newest first, with their pages."""
    seen = request.user.has_perm("registry.view_pipeline")
    return [
        (step, f"{change_url(step.revision.pipeline)}?revision={step.revision.number}")
        for step in steps_of([version]).get(version.id, ())
        if seen
    ]


def _provenance(version: ModelVersion) -> list[tuple[str, Any]]:
    """Known fields first, as people look for them; then the others by name."""
    order = [*KNOWN, *sorted(version.provenance.keys() - KNOWN.keys())]
    return [(n, version.provenance[n]) for n in order if not is_empty(version.provenance.get(n))]


def _effective(version: ModelVersion) -> str:
    """How it is served: the profile of today under its overrides; nothing where it has none."""
    document = effective_document(version) if version.overrides else None
    return profile_text(document) if document else ""


def _next_command(version: ModelVersion, serves: bool) -> str:
    if version.state != VersionState.READY or serves:
        return ""
    return f"nereid deploy {version.model.name} {str_of(version)}=100"

"""Analysis templates, and the runs that measured by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nereid.calls.asking import ask, at_most, json_object, listed, part, read
from nereid.rollouts import AnalysisRun, AnalysisTemplate, Look
from nereid.steps import Steps


def analysis_templates(search: str | None = None) -> Steps[list[AnalysisTemplate]]:
    """All analysis templates by name; `search` in the names."""
    found = yield from listed("/analysis-templates/", search=search)
    return [AnalysisTemplate.from_json(raw) for raw in found]


def analysis_template(name: str) -> Steps[AnalysisTemplate]:
    """One analysis template at its newest revision, with its tag."""
    response = yield from ask("GET", _path(name))
    return AnalysisTemplate.from_json(json_object(response), response.headers.get("ETag", ""))


def put_analysis_template(
    name: str, document: Mapping[str, Any], *, etag: str | None = None
) -> Steps[AnalysisTemplate]:
    """Add a template, or with the `etag` that was read make a new revision of it.

    The server refuses (412) when someone changed it since; ``*`` means: whatever stands. In place
    of the one that comes with Nereid a template is added: without an `etag`, or with that one's.
    """
    response = yield from ask("PUT", _path(name), json=dict(document), if_match=etag)
    return AnalysisTemplate.from_json(json_object(response), response.headers.get("ETag", ""))


def delete_analysis_template(name: str) -> Steps[None]:
    """Remove a template of your own; runs keep what they began with."""
    yield from ask("DELETE", _path(name))


def analysis_run(run_id: str) -> Steps[AnalysisRun]:
    """One measurement, with its newest look."""
    return AnalysisRun.from_json((yield from read("GET", f"/analysis-runs/{part(str(run_id))}/")))


def analysis_looks(run_id: str, most: int | None = None) -> Steps[list[Look]]:
    """The looks of a run, newest first."""
    path = f"/analysis-runs/{part(str(run_id))}/looks/"
    return [Look.from_json(raw) for raw in (yield from at_most(most, path))]


def _path(name: str) -> str:
    return f"/analysis-templates/{part(name)}/"

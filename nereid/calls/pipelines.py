"""Pipelines: steps that hand tensors on to each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nereid.calls.asking import ask, json_object, listed, part
from nereid.pipeline_resources import Pipeline, PipelineCheck
from nereid.steps import Steps


def pipelines(search: str | None = None) -> Steps[list[Pipeline]]:
    """All pipelines by name, each at its newest revision; `search` in name and description."""
    return [Pipeline.from_json(raw) for raw in (yield from listed("/pipelines/", search=search))]


def pipeline(name: str, revision: int | None = None) -> Steps[Pipeline]:
    """One pipeline at its newest revision, with its tag, or at another one."""
    if revision is not None:
        response = yield from ask("GET", f"{_path(name)}revisions/{revision}/")
        return Pipeline.from_json(json_object(response))
    response = yield from ask("GET", _path(name))
    return Pipeline.from_json(json_object(response), response.headers.get("ETag", ""))


def pipeline_revisions(name: str) -> Steps[list[Pipeline]]:
    """The revisions of a pipeline, newest first."""
    found = yield from listed(f"{_path(name)}revisions/")
    return [Pipeline.from_json(raw) for raw in found]


def put_pipeline(
    name: str, document: Mapping[str, Any], *, etag: str | None = None
) -> Steps[Pipeline]:
    """Add a pipeline, or with the `etag` that was read make a new revision of it.

    The server refuses (412) when someone changed it since; ``*`` means: whatever stands. What
    serves is pinned to its revision and stays.
    """
    response = yield from ask("PUT", _path(name), json=dict(document), if_match=etag)
    return Pipeline.from_json(json_object(response), response.headers.get("ETag", ""))


def check_pipeline(name: str, document: Mapping[str, Any]) -> Steps[PipelineCheck]:
    """What a document would be as that pipeline; nothing is written."""
    response = yield from ask("POST", f"{_path(name)}check/", json=dict(document))
    return PipelineCheck.from_json(json_object(response))


def delete_pipeline(name: str) -> Steps[None]:
    """Remove a pipeline that no endpoint's revision and no other pipeline uses."""
    yield from ask("DELETE", _path(name))


def _path(name: str) -> str:
    return f"/pipelines/{part(name)}/"

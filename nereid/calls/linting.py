"""The linter: of repositories and profiles that are not registered, and of what is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nereid.calls.asking import part, read
from nereid.calls.traffic import plan, policy
from nereid.linted import Linted
from nereid.resources import Finding
from nereid.steps import Steps

SAID_ANYWAY = "no_change"
"""A plan says so of the policy that serves."""


def lint_models(
    models: Sequence[Mapping[str, Any]],
    *,
    rename: Mapping[str, str] | None = None,
    members: Mapping[str, Mapping[str, Any]] | None = None,
    p99_ms: float | None = None,
    cores: int | None = None,
    gpus: int | None = None,
) -> Steps[list[Linted]]:
    """What the linter finds in the directories of a Triton repository, and what would become of
    each of them here. Nothing is written.

    Args:
        models: as `nereid.repository.LocalModel.described` has them.
        rename: by directory, the name that it is to have here.
        members: what ensembles name and the repository has not: the step that each is here.
        p99_ms: what the models are to keep.
        cores, gpus: of the servers that they go to; else of those there are.
    """
    body: dict[str, Any] = {"models": list(models), "p99_ms": p99_ms, "cores": cores, "gpus": gpus}
    if members:
        body["members"] = dict(members)
    raw = yield from read("POST", "/lint/", json={**body, "rename": dict(rename or {})})
    return [Linted.from_json(one) for one in raw.get("results") or ()]


def lint_profile(
    document: Mapping[str, Any],
    *,
    p99_ms: float | None = None,
    cores: int | None = None,
    gpus: int | None = None,
) -> Steps[list[Linted]]:
    """What the linter finds in a serving profile, as far as it can tell without a model."""
    body = {"profile": dict(document), "p99_ms": p99_ms, "cores": cores, "gpus": gpus}
    raw = yield from read("POST", "/lint/", json=body)
    return [Linted.from_json(one) for one in raw.get("results") or ()]


def lint_version(model: str, number: int | str) -> Steps[list[Linted]]:
    """What the linter finds in a version with its serving profile."""
    path = f"/models/{part(model)}/versions/{part(str(number))}/findings/"
    raw = yield from read("GET", path)
    return [Linted(f"{model}:{number}", Finding.all_of(raw), None, raw)]


def lint_endpoint(name: str) -> Steps[list[Linted]]:
    """What is found in the policy that an endpoint has, and in the way that its arms are served."""
    present = yield from policy(name)
    if present.empty:
        return [Linted(name, (), None, {"findings": []})]
    planned = yield from plan(name, present.document)
    found = tuple(one for one in planned.findings if one.code != SAID_ANYWAY)
    return [Linted(name, found, None, planned.raw)]

"""Bringing a Triton repository in: what becomes of it, then the deed, as often as it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from nereid.calls.importing_pipelines import held_member, standing_pipeline
from nereid.calls.linting import lint_models
from nereid.calls.profiles import profile, put_profile
from nereid.calls.pushing import push
from nereid.calls.registry import ensure_model, versions, wait_version_ready
from nereid.errors import NereidError, ProblemError
from nereid.importing import VARIANTS, PlannedModel, other_name, planned_model, standing
from nereid.linted import Linted
from nereid.repository import LocalModel, read_repository, read_text
from nereid.resources import Version
from nereid.steps import BytesMoved, Steps, Work


@dataclass(frozen=True)
class Imported:
    """What was made of one directory."""

    model: str
    profile: str
    versions: tuple[Version, ...]
    skipped: tuple[int, ...]
    failed: tuple[str, ...]
    """What did not come in, and why."""


@dataclass(frozen=True)
class Progress:
    """Who hears of it: each version as it is sent, and how much of it."""

    on_version: Callable[[PlannedModel, int], None] | None = None
    on_bytes: BytesMoved | None = None


def plan_import(
    path: str | Path,
    *,
    rename: Mapping[str, str] | None = None,
    only: Sequence[str] = (),
    members: Mapping[str, str] | None = None,
) -> Steps[list[PlannedModel]]:
    """What would become of each model of a repository, and what of it is here. Nothing is written.

    Args:
        rename: by directory, the name that it is to have here.
        only: the directories that are meant; else all.
        members: what ensembles name and the repository has not, as `MODEL:VERSION` here, or a
            pipeline with its revision; without a number the newest.

    Raises:
        NereidError: there is no repository, or none of the names that are meant.
    """
    found: list[LocalModel] = yield Work(lambda: read_repository(Path(path)))
    if missing := sorted(set(only) - {one.name for one in found}):
        raise NereidError(f"there is no directory {missing[0]!r} in {path}")
    here = {}
    for name, said in (members or {}).items():
        here[name] = yield from held_member(said)
    described = [one.described() for one in found]
    linted = yield from lint_models(described, rename=rename, members=here)
    plans = []
    for source, result in zip(found, linted, strict=True):
        if only and source.name not in only:
            continue
        plan = yield Work(partial(planned_model, source, result))
        plans.append((yield from _compared(plan)))
    return plans


def import_model(
    plan: PlannedModel,
    *,
    wait: bool = True,
    timeout: float = 600.0,
    progress: Progress | None = None,
) -> Steps[Imported]:
    """Brings one model in: its serving profile, and every version that is not here yet.

    What is here already stays: a second run goes on where the first one ended.

    Raises:
        ProblemError: the server said no before any version was sent.
    """
    progress = progress or Progress()
    name = yield from _kept_profile(plan.profile, plan.document)
    for variant, document in plan.variants.items():
        yield from _kept_profile(variant, document)
    yield from ensure_model(plan.name)
    made: list[Version] = []
    failed = list(plan.refused)
    for one in plan.versions:
        if one.state == "there":
            continue
        if one.state != "new":
            failed.append(f"{plan.name}:{one.number}: {one.reason}")
            continue
        if progress.on_version:
            progress.on_version(plan, one.number)
        try:
            made.append((yield from _pushed(plan, one.number, name, progress)))
        except ProblemError as error:
            failed.append(f"{plan.name}:{one.number}: {error}")
    if wait:
        checked = []
        for version in made:
            checked.append(
                (yield from wait_version_ready(plan.name, version.number, timeout=timeout))
            )
        made = checked
    failed += [f"{v.model}:{v.number}: {v.state_reason}" for v in made if v.state == "rejected"]
    there = tuple(one.number for one in plan.versions if one.state == "there")
    return Imported(plan.name, name, tuple(made), there, tuple(failed))


def _compared(plan: PlannedModel) -> Steps[PlannedModel]:
    """The plan with the profiles of its other configurations, and what is here of it."""
    if plan.is_ensemble:
        return (yield from standing_pipeline(plan))
    if not plan.versions:
        return plan
    plan = replace(plan, variants=(yield from _variants(plan)))
    try:
        present = yield from versions(plan.name)
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        present = []
    return standing(plan, present)


def _variants(plan: PlannedModel) -> Steps[dict[str, Any]]:
    """What the configurations in `configs/` amount to as serving profiles; those that do not are
    kept with the version all the same."""
    texts = {
        f"{plan.source.name}-{Path(name).stem}": path
        for name, path in plan.source.files.items()
        if name.startswith(VARIANTS) and name.endswith(".pbtxt")
    }
    if not texts:
        return {}
    described: list[dict[str, Any]] = [
        {"name": name, "config": read_text(path), "versions": None, "files": []}
        for name, path in texts.items()
    ]
    found: list[Linted] = yield from lint_models(described)
    return {
        one.becomes.name: {
            "description": f"Imported with the model {plan.source.name}",
            **one.becomes.profile,
        }
        for one in found
        if one.becomes and one.becomes.profile and not one.becomes.refused
    }


def _kept_profile(name: str, document: Mapping[str, Any]) -> Steps[str]:
    """The name of a profile with that content: the given one, or where that has another content
    one with the content's digest behind it."""
    for candidate in (name, other_name(name, document)):
        try:
            present = yield from profile(candidate)
        except ProblemError as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise
            yield from put_profile(candidate, document)
            return candidate
        if dict(present.document) == dict(document):
            return candidate
    raise NereidError(f"the serving profile {candidate!r} was changed: give it its content again")


def _pushed(plan: PlannedModel, number: int, profile: str, progress: Progress) -> Steps[Version]:
    [one] = [version for version in plan.versions if version.number == number]
    with one.packed.file() as path:
        return (
            yield from push(
                plan.name,
                path,
                git=False,
                on_bytes=progress.on_bytes,
                version=number,
                framework=plan.becomes.framework,
                profile=profile,
                signature=plan.becomes.signature,
                model_config=plan.becomes.model_config,
                provenance={"imported_from": plan.source.name},
            )
        )

"""Ensembles of a Triton repository as pipelines, inner ones first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx

from nereid.calls.pipelines import pipeline, put_pipeline
from nereid.calls.registry import versions
from nereid.errors import NereidError, ProblemError
from nereid.importing import PlannedModel
from nereid.resources import Document
from nereid.steps import Steps


@dataclass(frozen=True)
class ImportedPipeline:
    """What became of an ensemble: its revision, whether this call made it, or why there is none."""

    name: str
    revision: int | None
    made: bool = False
    failed: str = ""


def held_member(said: str) -> Steps[dict[str, Any]]:
    """What a step runs that names `MODEL:VERSION`, `PIPELINE:REVISION`, or the newest of either.

    Raises:
        NereidError: it is not here, or not ready.
    """
    name, colon, number = said.partition(":")
    if colon and not (number.isascii() and number.isdecimal()):
        raise NereidError(f"{said!r} is not MODEL:VERSION with a number")
    wanted = int(number) if colon else None
    try:
        found = yield from pipeline(name, wanted)
        return {"pipeline": name, "revision": found.revision}
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
    try:
        ready = [one.number for one in (yield from versions(name, state="ready"))]
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        ready = []
    if not ready or (wanted is not None and wanted not in ready):
        raise NereidError(f"there is no pipeline {said}, and no version of that name that is ready")
    return {"model": name, "version": max(ready) if wanted is None else wanted}


def standing_pipeline(plan: PlannedModel) -> Steps[PlannedModel]:
    """The plan with what is here of the pipeline already."""
    wanted = plan.becomes.pipeline
    if plan.refused or wanted is None:
        return plan
    present = yield from _present(plan.name)
    if present is None:
        return plan
    named = {step["name"] for step in wanted.get("steps") or () if step.get("revision")}
    if _essence(present, named) == _essence(wanted, named):
        return replace(plan, pipeline_is_there=True)
    reason = f"there is a pipeline {plan.name} with another content"
    return replace(plan, refused=(reason,))


def import_pipelines(plans: Sequence[PlannedModel]) -> Steps[list[ImportedPipeline]]:
    """Makes a pipeline of each ensemble, and leaves those alone that are here.

    What a pipeline's steps run has to be here: one whose member is missing is told, and the others
    go on.
    """
    revisions: dict[str, int] = {}
    found = []
    for plan in inner_first(plans):
        one = yield from _imported(plan, revisions)
        if one.revision is not None:
            revisions[plan.name] = one.revision
        found.append(one)
    return found


def inner_first(plans: Sequence[PlannedModel]) -> list[PlannedModel]:
    """The plans in an order in which each comes after the pipelines that it runs."""
    known = {plan.name: plan for plan in plans}
    ordered: dict[str, PlannedModel] = {}
    under_way: set[str] = set()

    def visit(plan: PlannedModel) -> None:
        if plan.name in ordered or plan.name in under_way:
            return  # a circle is the server's to refuse
        under_way.add(plan.name)
        for step in (plan.becomes.pipeline or {}).get("steps") or ():
            if inner := known.get(step.get("pipeline") or ""):
                visit(inner)
        ordered[plan.name] = plan

    for plan in plans:
        visit(plan)
    return list(ordered.values())


def _imported(plan: PlannedModel, revisions: Mapping[str, int]) -> Steps[ImportedPipeline]:
    if plan.refused or plan.becomes.pipeline is None:
        return ImportedPipeline(plan.name, None, failed="; ".join(plan.refused))
    if plan.pipeline_is_there:
        present = yield from pipeline(plan.name)
        return ImportedPipeline(plan.name, present.revision)
    document = dict(plan.becomes.pipeline)
    steps = []
    for step in document["steps"]:
        inner = None if step.get("revision") else step.get("pipeline")
        if inner and inner not in revisions:
            return ImportedPipeline(plan.name, None, failed=f"its step {inner} did not come in")
        steps.append({**step, "revision": revisions[inner]} if inner else step)
    try:
        made = yield from put_pipeline(plan.name, {**document, "steps": steps})
    except ProblemError as error:
        return ImportedPipeline(plan.name, None, failed=f"{error.title}: {error.explanation}")
    return ImportedPipeline(plan.name, made.revision, made=True)


def _present(name: str) -> Steps[Document | None]:
    try:
        return (yield from pipeline(name)).document
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        return None


def _essence(document: Document, named: Collection[str]) -> dict[str, Any]:
    """What two documents have to share to be one: inner pipelines count by name.

    Args:
        named: the steps whose pipelines count by their revision, too.
    """
    steps = [
        {
            "name": step.get("name"),
            "runs": step.get("pipeline") or (step.get("model"), step.get("version")),
            "revision": step.get("revision") if step.get("name") in named else None,
            "inputs": dict(step.get("inputs") or {}),
            "outputs": dict(step.get("outputs") or {}),
        }
        for step in document.get("steps") or ()
    ]
    sides = {side: list(document.get(side) or ()) for side in ("inputs", "outputs")}
    config = dict(document.get("config") or {})
    return {"steps": steps, "kind": document.get("kind", "ensemble"), "config": config, **sides}

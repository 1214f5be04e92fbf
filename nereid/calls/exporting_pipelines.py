"""Pipelines as plain Triton models, whose members are models of the same repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import httpx

from nereid.backends import sources
from nereid.calls.asking import part, read
from nereid.calls.pipelines import pipeline
from nereid.errors import NereidError, ProblemError
from nereid.exporting import (
    ExportedEnsemble,
    ExportedModel,
    ExportedVersion,
    Names,
    directories,
)
from nereid.pipeline_configs import (
    ENSEMBLE,
    ensemble_config,
    kind_of,
    label_texts,
    pattern_config,
)
from nereid.pipeline_resources import PipelineStep
from nereid.steps import Steps

Key = tuple[str, int]
Pipelines = dict[str, Key]
"""By the directory that it is to have: a pipeline's name and revision."""


def export_version(
    model: str, number: int | str, *, arm: tuple[str, str] | None = None
) -> Steps[ExportedVersion]:
    """A version as a plain Triton model directory: its configuration, and where its files lie.

    Args:
        arm: an endpoint and its arm, whose overrides are laid over the version's profile.
    """
    path = f"/models/{part(model)}/versions/{part(str(number))}/export/"
    given = dict(zip(("endpoint", "arm"), arm, strict=True)) if arm else {}
    found = ExportedVersion.from_json((yield from read("GET", path, params=given)))
    return replace(found, overridden=arm is not None)


def newest_revision(name: str) -> Steps[int | None]:
    """The newest revision of a pipeline; None: there is none of that name."""
    try:
        return (yield from pipeline(name)).revision
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        return None


def exported_pipelines(
    chosen: Mapping[str, Key], made: list[ExportedModel], names: Names
) -> Steps[tuple[list[ExportedEnsemble], list[str]]]:
    """The pipelines, those inside of others among them, and what plain Triton cannot do of them.

    Members that are in no directory yet get one in `made`.
    """
    writing = _Writing(made, names)
    wanted = []
    for directory, key in chosen.items():
        # Before any of them is written: one may be inside of another.
        own = names.own(directory)
        wanted.append((own, key))
        writing.homes.setdefault(key, own)
    for own, key in wanted:
        yield from _written(writing, own, key)
    return writing.ensembles, writing.notes


@dataclass
class _Writing:
    """What is written so far: by pipeline its directory, and by directory whether it could be."""

    made: list[ExportedModel]
    names: Names
    homes: dict[Key, str] = field(default_factory=dict)
    written: dict[str, bool] = field(default_factory=dict)
    ensembles: list[ExportedEnsemble] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _written(writing: _Writing, own: str, key: Key) -> Steps[bool]:
    """Writes a pipeline after those inside of it; false where it has to be left out."""
    if own in writing.written:
        return writing.written[own]
    writing.written[own] = False
    name, revision = key
    found = yield from pipeline(name, revision)
    kind = kind_of(found)
    members = []
    for step in found.own_steps:
        home = yield from _member(writing, step)
        if home is None:
            detail = f"the pipeline {name}:{revision} is left out, as its step {step.name} is"
            writing.notes.append(detail)
            return False
        members.append((home, 1 if step.pipeline else step.version))
    try:
        code = {} if kind == ENSEMBLE else sources([kind])[kind]
    except NereidError:
        detail = (
            f"the pipeline {name}:{revision} is a {kind}, whose code is in a checkout of Nereid"
        )
        writing.notes.append(f"{detail} alone: it is left out")
        return False
    config = (ensemble_config if kind == ENSEMBLE else pattern_config)(own, found, members)
    source = f"{name}:{revision}"
    writing.ensembles.append(ExportedEnsemble(own, source, config, code, label_texts(found)))
    writing.written[own] = True
    return True


def _member(writing: _Writing, step: PipelineStep) -> Steps[str | None]:
    """The directory of what a step runs; None where that is left out."""
    if not step.pipeline:
        return (yield from _home(step.model, step.version, writing.made, writing.names))
    key = (step.model, step.version)
    if key not in writing.homes:
        free = writing.names.is_free(step.model)
        own = step.model if free else f"{step.model}-r{step.version}"
        writing.homes[key] = writing.names.take(own)
    there = yield from _written(writing, writing.homes[key], key)
    return writing.homes[key] if there else None


def _home(model: str, number: int, made: list[ExportedModel], names: Names) -> Steps[str]:
    """The directory that a pipeline finds a version in."""
    for i, one in enumerate(made):
        as_it_is = {(v.model, v.number) for v in one.versions if not v.overridden}
        if (model, number) not in as_it_is:
            continue
        if one.served is not None and number > one.served:
            continue  # it would answer in place of the version that the endpoint names
        made[i] = replace(one, needed=one.needed | {number})
        return one.name
    version = yield from export_version(model, number)
    name = model if names.is_free(model) else f"{model}-v{number}"
    [own] = directories(name, [version], names)
    made.append(replace(own, needed=frozenset({number})))
    return own.name

"""A pipeline's revision -> the ensemble that serves it and the members that it is pinned to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from control_plane.domain.names import physical_name
from control_plane.domain.pipelines.document import Pipeline, Runs
from control_plane.domain.pipelines.flattening import flattened
from control_plane.domain.pipelines.members import Key, Member, WiredStep, Wiring
from control_plane.domain.pipelines.wiring import wire
from control_plane.domain.planning.compiled_version import physical_directory
from control_plane.domain.planning.model_config import (
    ACCELERATORS,
    ensemble_config,
    is_decoupled,
    optional_inputs,
)
from control_plane.domain.planning.plan import (
    ModelDirectory,
    PlannedStep,
    VersionSpec,
    digest_of,
)
from control_plane.domain.serving.sequence_fit import unfit
from control_plane.domain.violations import InvalidInputError, Violation

STEPS_FILE = "1/steps.json"
"""What the ensemble was made from; Triton wants a folder for its version, and reads none of it."""


@dataclass(frozen=True)
class PipelineSpec:
    """What planning needs of a pipeline's revision."""

    name: str
    number: int
    pipeline: Pipeline


@dataclass(frozen=True)
class Parts:
    """What pipelines are made of: versions that can be served, and pipelines."""

    versions: Mapping[Key, VersionSpec]
    pipelines: Mapping[Key, PipelineSpec] = field(default_factory=dict)


@dataclass(frozen=True)
class CompiledPipeline:
    """The ensemble's directory, and its members' in front of which it cannot be loaded."""

    directory: ModelDirectory
    members: tuple[ModelDirectory, ...]
    steps: tuple[PlannedStep, ...]
    wiring: Wiring


def member_of(spec: VersionSpec) -> Member:
    """A version that can be served, as a step meets it."""
    config = physical_directory(spec).variants[ACCELERATORS[0]]
    return Member(
        signature=spec.callers,
        max_batch_size=int(config["max_batch_size"]),
        decoupled=is_decoupled(config),
        optional=optional_inputs(config),
    )


def wirings_of(pipeline: Pipeline, parts: Parts) -> dict[Key, Wiring]:
    """The pipelines that the steps run, at every depth.

    Raises:
        InvalidInputError: one of them does not fit together (any more).
    """
    found: dict[Key, Wiring] = {}
    for i, step in enumerate(pipeline.steps):
        inner = parts.pipelines.get(step.runs.key)
        if not step.runs.pipeline or inner is None:
            continue
        try:
            found |= wirings_of(inner.pipeline, parts)
            found[step.runs.key] = wired(inner.pipeline, parts, found)
        except InvalidInputError as error:
            detail = f"{step.runs} can no longer be served: {error}"
            raise InvalidInputError([Violation(f"/steps/{i}", "pipeline", detail)]) from error
    return found


def wired(pipeline: Pipeline, parts: Parts, inner: Mapping[Key, Wiring]) -> Wiring:
    """The pipeline with its tensors held against each other.

    Raises:
        InvalidInputError: a version cannot be served, or tensors do not fit together.
    """
    found = list(_unserved(pipeline, parts.versions))
    if found:
        raise InvalidInputError(found)
    members = {key: one.as_member for key, one in inner.items()}
    for step in pipeline.steps:
        if not step.runs.pipeline and (spec := parts.versions.get(step.runs.key)):
            members[step.runs.key] = member_of(spec)
    return wire(pipeline, members)


def checked(pipeline: Pipeline, parts: Parts) -> tuple[Wiring, tuple[WiredStep, ...]]:
    """The pipeline as callers meet it, and its steps written out.

    Raises:
        InvalidInputError: it cannot be served; each place named.
    """
    inner = wirings_of(pipeline, parts)
    wiring = wired(pipeline, parts, inner)
    return wiring, flattened(wiring, inner)


def compile_pipeline(spec: PipelineSpec, parts: Parts) -> CompiledPipeline:
    """The ensemble of a revision, pinned to physical members.

    The digest covers the members' names, so what any of them becomes makes it another ensemble.

    Raises:
        InvalidInputError: it cannot be served; the pointers are those of the pipeline's document.
    """
    wiring, steps = checked(spec.pipeline, parts)
    members = {step.runs.key: physical_directory(parts.versions[step.runs.key]) for step in steps}
    physical = {key: directory.name for key, directory in members.items()}
    config = ensemble_config(wiring, steps, physical)
    planned = tuple(_planned(step.name, step.runs, physical) for step in steps)
    variants = dict.fromkeys(ACCELERATORS, config)
    digest = digest_of({"variants": variants, "links": {}})
    directory = ModelDirectory(
        name=physical_name(spec.name, spec.number, digest),
        variants=variants,
        links={},
        texts={STEPS_FILE: _steps_text(planned)},
    )
    return CompiledPipeline(directory, tuple(members.values()), planned, wiring)


def _planned(step: str, runs: Runs, physical: Mapping[Key, str]) -> PlannedStep:
    return PlannedStep(step, runs.name, runs.number, physical[runs.key])


def _steps_text(steps: tuple[PlannedStep, ...]) -> str:
    return json.dumps({step.step: step.physical for step in steps}, indent=1) + "\n"


def _unserved(pipeline: Pipeline, versions: Mapping[Key, VersionSpec]) -> Iterator[Violation]:
    for i, step in enumerate(pipeline.steps):
        spec = None if step.runs.pipeline else versions.get(step.runs.key)
        if spec is None:
            continue
        pointer = f"/steps/{i}/version"
        if spec.unserved:
            yield Violation(pointer, "unsupported", f"{step.runs}: {spec.unserved}")
        if spec.profile is None:
            yield Violation(pointer, "profile", f"{step.runs}: {spec.profile_error}")
        elif problems := unfit(spec.signature, spec.profile, spec.sizes):
            detail = f"{step.runs} does not fit its profile's sequence batcher: "
            detail += "; ".join(problems)
            yield Violation(pointer, "profile", detail)

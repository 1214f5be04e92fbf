"""A pipeline's revision -> the model that serves it and the members that it is pinned to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from control_plane.domain.names import physical_name
from control_plane.domain.pipelines.document import Pipeline, Runs
from control_plane.domain.pipelines.flattening import INSIDE, flattened
from control_plane.domain.pipelines.members import Key, Member, WiredStep, Wiring
from control_plane.domain.pipelines.nesting import check_nesting
from control_plane.domain.pipelines.patterns import PipelineKind
from control_plane.domain.pipelines.wiring import wire
from control_plane.domain.planning.compiled_version import physical_directory
from control_plane.domain.planning.model_config import (
    ACCELERATORS,
    ensemble_config,
    is_decoupled,
    optional_inputs,
)
from control_plane.domain.planning.pattern_config import pattern_config
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
    """The pipeline's directory, and its members' in front of which it cannot be loaded."""

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
        sequences="sequence_batching" in config,
    )


def wirings_of(pipeline: Pipeline, parts: Parts) -> dict[Key, Wiring]:
    """The pipelines that the steps run, at every depth.

    Raises:
        InvalidInputError: one of them does not fit together (any more).
    """
    found: dict[Key, Wiring] = {}
    _wire_inner(pipeline, parts, found)
    return found


def _wire_inner(pipeline: Pipeline, parts: Parts, found: dict[Key, Wiring]) -> None:
    """Each once, however many steps run it."""
    for i, step in enumerate(pipeline.steps):
        inner = parts.pipelines.get(step.runs.key)
        if not step.runs.pipeline or inner is None or step.runs.key in found:
            continue
        try:
            _wire_inner(inner.pipeline, parts, found)
            found[step.runs.key] = wired(inner.pipeline, parts, found)
        except InvalidInputError as error:
            detail = f"{step.runs} can no longer be served: {error}"
            raise InvalidInputError([Violation(f"/steps/{i}", "pipeline", detail)]) from error


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
    check_nesting(pipeline, {key: one.pipeline for key, one in parts.pipelines.items()})
    inner = wirings_of(pipeline, parts)
    wiring = wired(pipeline, parts, inner)
    if pipeline.kind != PipelineKind.ENSEMBLE:
        return wiring, wiring.steps
    return wiring, flattened(wiring, inner)


def compile_pipeline(spec: PipelineSpec, parts: Parts) -> CompiledPipeline:
    """The model that serves a revision, pinned to physical members.

    The digest covers the members' names, so what any of them becomes makes it another ensemble.

    Raises:
        InvalidInputError: it cannot be served; the pointers are those of the pipeline's document.
    """
    wiring, steps = checked(spec.pipeline, parts)
    runs = dict.fromkeys(step.runs for step in steps)
    served = {one.key: _served(one, parts) for one in runs}
    physical = {key: one.directory.name for key, one in served.items()}
    if spec.pipeline.kind == PipelineKind.ENSEMBLE:
        config = ensemble_config(wiring, steps, physical, spec.pipeline.config)
    else:
        config = pattern_config(spec.pipeline, wiring, physical)
    planned = tuple(one for step in steps for one in _planned(step, served[step.runs.key]))
    variants = dict.fromkeys(ACCELERATORS, config)
    own = spec.pipeline.config.texts if spec.pipeline.config else {}
    # Names that serve stay what they were: of most pipelines there are no texts.
    digest = digest_of({"variants": variants, "links": {}, **({"texts": own} if own else {})})
    directory = ModelDirectory(
        name=physical_name(spec.name, spec.number, digest),
        variants=variants,
        links={},
        texts={STEPS_FILE: _steps_text(planned), **own},
    )
    members = {one.name: one for part in served.values() for one in (*part.members, part.directory)}
    return CompiledPipeline(directory, tuple(members.values()), planned, wiring)


@dataclass(frozen=True)
class _Served:
    """What runs a step, with what that needs in turn."""

    directory: ModelDirectory
    members: tuple[ModelDirectory, ...] = ()
    steps: tuple[PlannedStep, ...] = ()


def _served(runs: Runs, parts: Parts) -> _Served:
    if not runs.pipeline:
        return _Served(physical_directory(parts.versions[runs.key]))
    inner = compile_pipeline(parts.pipelines[runs.key], parts)
    return _Served(inner.directory, inner.members, inner.steps)


def _planned(step: WiredStep, served: _Served) -> Iterator[PlannedStep]:
    runs = step.runs
    yield PlannedStep(step.name, runs.name, runs.number, served.directory.name, runs.pipeline)
    for one in served.steps:
        yield replace(one, step=f"{step.name}{INSIDE}{one.step}")


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

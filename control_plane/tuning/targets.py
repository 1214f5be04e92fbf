"""What a perf run is aimed at: what is called, what it takes, and what has to be loaded for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from control_plane.domain.perf.request import Target, TargetKind
from control_plane.domain.planning.backends import Equipped, lacks
from control_plane.domain.planning.compiled_version import physical_directory
from control_plane.domain.planning.pipelines import compile_pipeline
from control_plane.domain.planning.plan import ModelDirectory, Plan
from control_plane.domain.registry.golden import GoldenExample, parse_golden
from control_plane.domain.registry.states import VersionState
from control_plane.domain.serving.overriding import overridden
from control_plane.domain.signature import Signature, Tensor
from control_plane.domain.violations import ConflictError, InvalidInputError, Violation
from control_plane.ports.repository import (
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactStore,
)
from control_plane.ports.serving import EndpointFacts
from control_plane.registry.contents import golden_examples
from control_plane.registry.models import ModelVersion
from control_plane.registry.pipelines import get_pipeline_revision, parts_for
from control_plane.registry.selectors import get_version

HOLD = ".perf"
"""What a node keeps a perf run's models under: no endpoint's name begins with a dot."""


NO_OVERRIDES: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Aimed:
    """A target that can be measured.

    `version` is the one whose golden examples fit; `plan` the document of what is to be loaded,
    None where an endpoint is called as it serves. `max_batch_size` 0 takes no batches.
    """

    physical: str
    inputs: tuple[Tensor, ...]
    max_batch_size: int
    version: ModelVersion | None
    plan: Mapping[str, Any] | None


def aim(
    target: Target,
    server: Equipped | None,
    endpoints: EndpointFacts,
    overrides: Mapping[str, Any] = NO_OVERRIDES,
) -> Aimed:
    """What the target is on a server.

    Args:
        server: with its backends; None: they are not known.
        overrides: of a version, laid over how it is served.

    Raises:
        NotFoundError: there is no such target.
        ConflictError: it cannot be measured there as it is now.
        InvalidInputError: it cannot be compiled, or the server cannot run it.
    """
    if target.kind is TargetKind.ENDPOINT:
        return _endpoint(target, server, endpoints)
    if target.kind is TargetKind.PIPELINE:
        return _pipeline(target, server)
    return _version(target, server, overrides)


def examples_document(
    version: ModelVersion | None, inputs: Iterable[Tensor], store: ArtifactStore
) -> tuple[GoldenExample, ...]:
    """The version's golden examples as values; none where it has none, or they fit no more.

    What is called may take less than the version: an endpoint of it, never more.
    """
    if version is None or version.golden_id is None or version.signature is None:
        return ()
    known = Signature.from_document(version.signature)
    try:
        said = golden_examples(version, store)
        return parse_golden(said, Signature(tuple(inputs), known.outputs))
    except (ArtifactMissingError, ArtifactDamagedError, InvalidInputError):
        return ()


def _endpoint(target: Target, server: Equipped | None, endpoints: EndpointFacts) -> Aimed:
    served = endpoints.served(target.name)
    if server is not None and server.server not in served.servers:
        raise ConflictError(
            f"endpoint {target.name} is not served by {server.server}: it is by "
            f"{', '.join(sorted(served.servers)) or 'no server'}"
        )
    version = get_version(*served.primary) if served.primary else None
    return Aimed(target.name, served.inputs, served.max_batch_size, version, None)


def _version(target: Target, server: Equipped | None, overrides: Mapping[str, Any]) -> Aimed:
    number = target.number or 0
    version = get_version(target.name, number)
    if version.state != VersionState.READY:
        raise ConflictError(
            f"version {target} is {version.state}, and only one that is ready can be loaded"
        )
    spec = parts_for([(target.name, number)], []).versions[(target.name, number)]
    if overrides and spec.profile is not None:
        spec = replace(spec, profile=overridden(spec.profile, overrides, "/overrides"))
    try:
        directory = physical_directory(spec)
    except ValueError as error:
        raise ConflictError(f"version {target} cannot be served: {error}") from error
    _check(server, [directory])
    return Aimed(
        physical=directory.name,
        inputs=spec.callers.inputs,
        max_batch_size=directory.max_batch_size,
        version=version,
        plan=plan_of([directory]),
    )


def _pipeline(target: Target, server: Equipped | None) -> Aimed:
    revision = get_pipeline_revision(target.name, target.number)
    key = (target.name, revision.number)
    parts = parts_for([], [key])
    compiled = compile_pipeline(parts.pipelines[key], parts)
    directories = [*compiled.members, compiled.directory]
    _check(server, directories)
    return Aimed(
        physical=compiled.directory.name,
        inputs=compiled.wiring.signature.inputs,
        max_batch_size=compiled.directory.max_batch_size,
        version=None,
        plan=plan_of(directories),
    )


def _check(server: Equipped | None, directories: Iterable[ModelDirectory]) -> None:
    if server is None:
        return
    found = [lack for directory in directories for lack in lacks(directory, [server])]
    if found:
        raise InvalidInputError([Violation("/server", "backend", lack) for lack in found])


def plan_of(directories: Iterable[ModelDirectory]) -> Mapping[str, Any]:
    """A plan of models alone: a hold has no router. Its generation is given when it begins."""
    once = {directory.name: directory for directory in directories}
    nothing: Mapping[str, Any] = MappingProxyType({})
    router = ModelDirectory(name=HOLD, variants=nothing, links={}, texts={})
    return Plan(
        endpoint=HOLD, generation=0, arms=(), models=tuple(once.values()), router=router
    ).to_document()

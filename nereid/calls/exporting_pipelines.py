"""Pipelines as plain Triton ensembles, whose members are models of the same repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from nereid.calls.asking import part, read
from nereid.calls.pipelines import pipeline
from nereid.errors import ProblemError
from nereid.exporting import (
    ExportedEnsemble,
    ExportedModel,
    ExportedVersion,
    Names,
    directories,
)
from nereid.pipeline_resources import Pipeline
from nereid.resources import Tensor
from nereid.steps import Steps

Pipelines = dict[str, tuple[str, int]]
"""By the directory that it is to have: a pipeline's name and revision."""

_ENSEMBLE = "ensemble"


def export_version(model: str, number: int | str) -> Steps[ExportedVersion]:
    """A version as a plain Triton model directory: its configuration, and where its files lie."""
    path = f"/models/{part(model)}/versions/{part(str(number))}/export/"
    return ExportedVersion.from_json((yield from read("GET", path)))


def newest_revision(name: str) -> Steps[int | None]:
    """The newest revision of a pipeline; None: there is none of that name."""
    try:
        return (yield from pipeline(name)).revision
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        return None


def exported_pipelines(
    chosen: Mapping[str, tuple[str, int]], made: list[ExportedModel], names: Names
) -> Steps[tuple[list[ExportedEnsemble], list[str]]]:
    """The ensembles, and what plain Triton cannot do of the pipelines.

    Members that are in no directory yet get one in `made`.
    """
    ensembles, notes = [], []
    for directory, (name, revision) in chosen.items():
        found = yield from pipeline(name, revision)
        kind = str(found.document.get("kind") or _ENSEMBLE)
        if kind != _ENSEMBLE:
            notes.append(
                f"the pipeline {name} is a {kind}, which Nereid alone runs: it is left out"
            )
            continue
        if any(step.get("pipeline") for step in found.document.get("steps") or ()):
            notes.append(f"the steps of the pipelines inside {name} are written out")
        members = {}
        for step in found.steps:
            home = yield from _home(step.model, step.version, made, names)
            members[step.model, step.version] = home
        own = names.own(directory)
        ensembles.append(ExportedEnsemble(own, f"{name}:{revision}", _config(own, found, members)))
    return ensembles, notes


def _home(model: str, number: int, made: list[ExportedModel], names: Names) -> Steps[str]:
    """The directory that an ensemble finds a version in."""
    for i, one in enumerate(made):
        if (model, number) not in {(v.model, v.number) for v in one.versions}:
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


def _config(name: str, found: Pipeline, members: Mapping[tuple[str, int], str]) -> dict[str, Any]:
    batched = found.max_batch_size > 0
    config: dict[str, Any] = {
        "name": name,
        "platform": _ENSEMBLE,
        "max_batch_size": found.max_batch_size,
        "input": _tensors(found.inputs, batched),
        "output": _tensors(found.outputs, batched),
        "ensemble_scheduling": {
            "step": [
                {
                    "model_name": members[step.model, step.version],
                    "model_version": step.version,
                    "input_map": dict(step.inputs),
                    "output_map": dict(step.outputs),
                }
                for step in found.steps
            ]
        },
    }
    if found.decoupled:
        config["model_transaction_policy"] = {"decoupled": True}
    return config


def _tensors(tensors: Sequence[Tensor], batched: bool) -> list[dict[str, Any]]:
    return [
        {
            "name": tensor.name,
            "data_type": f"TYPE_{'STRING' if tensor.datatype == 'BYTES' else tensor.datatype}",
            # Triton has no tensors without dimensions.
            "dims": list(tensor.shape[1:] if batched else tensor.shape) or [1],
        }
        for tensor in tensors
    ]

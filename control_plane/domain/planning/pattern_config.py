"""The values of a cascade's and a weighted average's `config.pbtxt`, and whom they ask."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from control_plane.domain.pipelines.document import Pipeline
from control_plane.domain.pipelines.members import Key, Wiring
from control_plane.domain.pipelines.patterns import PipelineKind
from control_plane.domain.planning.model_config import Config, tensor_values

INSTANCES = 2
"""One waits for its members while the other prepares the next batch."""


def pattern_config(pipeline: Pipeline, wiring: Wiring, physical: Mapping[Key, str]) -> Config:
    """Values for the backend of the pattern's name, pinned to physical members.

    Args:
        physical: by (name, number), what runs each step.
    """
    kind = pipeline.kind
    members = [physical[step.runs.key] for step in pipeline.steps]
    said = json.dumps({"members": members, **_said(pipeline)}, sort_keys=True)
    return {
        "backend": kind.value,
        "max_batch_size": wiring.max_batch_size,
        "input": [tensor_values(t, True, reshape=False) for t in wiring.signature.inputs],
        "output": [tensor_values(t, True, reshape=False) for t in wiring.signature.outputs],
        "instance_group": [{"count": INSTANCES, "kind": "KIND_CPU"}],
        "dynamic_batching": {},
        "parameters": {kind.value: {"string_value": said}},
    }


def _said(pipeline: Pipeline) -> dict[str, Any]:
    """What the backend of that name has to know beside its members."""
    if pipeline.confidence is not None:
        thresholds = [step.at_least for step in pipeline.steps[:-1]]
        return {**pipeline.confidence.to_document(), "at_least": thresholds}
    weights = [1.0 if step.weight is None else step.weight for step in pipeline.steps]
    return {"weights": weights, "scale": (pipeline.scale or "as_is")}


def handed_on(config: Mapping[str, Any]) -> frozenset[str]:
    """The physical models to which a model of this configuration hands its requests on."""
    steps = config.get("ensemble_scheduling", {}).get("step", ())
    names = {step["model_name"] for step in steps}
    for kind in (PipelineKind.CASCADE, PipelineKind.WEIGHTED_AVERAGE):
        if config.get("backend") == kind.value:
            names |= set(json.loads(config["parameters"][kind.value]["string_value"])["members"])
    return frozenset(names)

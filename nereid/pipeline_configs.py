"""The configurations of exported pipelines: Triton's ensembles, and models of code for patterns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from nereid.pipeline_resources import Pipeline
from nereid.resources import Tensor

ENSEMBLE, CASCADE = "ensemble", "cascade"
_INSTANCES = 2
"""Of a pattern: one waits for its members while the other prepares the next batch."""

Members = Sequence[tuple[str, int]]
"""By step: a directory, and a version in it."""


def kind_of(pipeline: Pipeline) -> str:
    """How its steps are run: `ensemble`, `cascade` or `weighted_average`."""
    return str(pipeline.document.get("kind") or ENSEMBLE)


def ensemble_config(name: str, pipeline: Pipeline, members: Members) -> dict[str, Any]:
    """A Triton ensemble whose members are pinned."""
    config: dict[str, Any] = {
        **_callers(name, pipeline),
        "platform": ENSEMBLE,
        "ensemble_scheduling": {
            "step": [
                {
                    "model_name": model,
                    "model_version": version,
                    "input_map": dict(step.inputs),
                    "output_map": dict(step.outputs),
                }
                for step, (model, version) in zip(pipeline.own_steps, members, strict=True)
            ]
        },
    }
    if pipeline.decoupled:
        config["model_transaction_policy"] = {"decoupled": True}
    said = dict(pipeline.document.get("config") or {})
    said.pop("label_files", None)
    labels = {one["name"]: one["label_filename"] for one in said.pop("output", ())}
    for output in config["output"]:
        if output["name"] in labels:
            output["label_filename"] = labels[output["name"]]
    if "parameters" in said:
        texts = said["parameters"].items()
        said["parameters"] = {key: {"string_value": text} for key, text in texts}
    return config | said


def label_texts(pipeline: Pipeline) -> dict[str, str]:
    """The files of labels that lie beside an ensemble's configuration."""
    files = (pipeline.document.get("config") or {}).get("label_files") or {}
    return {name: "".join(f"{label}\n" for label in labels) for name, labels in files.items()}


def pattern_config(name: str, pipeline: Pipeline, members: Members) -> dict[str, Any]:
    """A model of Triton's Python backend, whose code asks the members."""
    kind = kind_of(pipeline)
    asked = [f"{model}:{version}" for model, version in members]
    said = json.dumps({"members": asked, **_said(kind, pipeline)}, sort_keys=True)
    return {
        **_callers(name, pipeline),
        "backend": "python",
        "instance_group": [{"count": _INSTANCES, "kind": "KIND_CPU"}],
        "dynamic_batching": {},
        "parameters": {kind: {"string_value": said}},
    }


def _said(kind: str, pipeline: Pipeline) -> dict[str, Any]:
    """What the code reads beside its members."""
    document = pipeline.document
    steps = document.get("steps") or ()
    if kind == CASCADE:
        thresholds = [step.get("at_least") for step in steps[:-1]]
        return {**(document.get("confidence") or {}), "at_least": thresholds}
    weights = [1.0 if step.get("weight") is None else step["weight"] for step in steps]
    return {"weights": weights, "scale": document.get("scale") or "as_is"}


def _callers(name: str, pipeline: Pipeline) -> dict[str, Any]:
    batched = pipeline.max_batch_size > 0
    return {
        "name": name,
        "max_batch_size": pipeline.max_batch_size,
        "input": _tensors(pipeline.inputs, batched),
        "output": _tensors(pipeline.outputs, batched),
    }


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

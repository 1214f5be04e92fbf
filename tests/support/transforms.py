"""Transforms of a single step, made and run as a server does it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from backends.transform.nereid_transforms.files import Files
from backends.transform.nereid_transforms.spec import TransformSpec
from backends.transform.nereid_transforms.tensor_type import DATATYPES
from backends.transform.nereid_transforms.transform import Transform

NAMES = {np.dtype(kind): name for name, kind in DATATYPES.items()}


def step(
    op: str,
    options: Mapping[str, Any],
    inputs: Mapping[str, tuple[str, list[int]]],
    outputs: list[str] | None = None,
    files: Mapping[str, Path] | None = None,
) -> Transform:
    """A transform of one op; its inputs by port, each a datatype with its dims."""
    outputs = outputs or ["output"]
    single = next(iter(inputs)) if len(inputs) == 1 else dict(zip(inputs, inputs, strict=True))
    spec = TransformSpec.model_validate(
        {
            "inputs": [
                {"name": name, "datatype": datatype, "dims": dims}
                for name, (datatype, dims) in inputs.items()
            ],
            "steps": [{"op": op, "inputs": single, "outputs": outputs, "options": dict(options)}],
            "outputs": outputs,
        }
    )
    return Transform(spec, Files(files or {}))


def typed(value: np.ndarray) -> tuple[str, list[int]]:
    """The datatype and the dims of an array whose first dimension is the batch."""
    return NAMES[value.dtype], list(value.shape[1:])


def ran(
    op: str,
    options: Mapping[str, Any],
    *values: np.ndarray,
    outputs: list[str] | None = None,
    files: Mapping[str, Path] | None = None,
) -> Any:
    """What an op makes of a batch: an array, or one for each of `outputs`."""
    ports = {1: ["input"]}.get(len(values), [f"t{i}" for i in range(len(values))])
    if op in ("add", "subtract", "multiply", "divide"):
        ports = ["input", "other"][: len(values)]
    given = dict(zip(ports, values, strict=True))
    made = step(op, options, {name: typed(v) for name, v in given.items()}, outputs, files)
    found = made.run(outputs or ["output"], given)
    for name, value in zip(outputs or ["output"], found, strict=True):
        kind = made.outputs[name]
        assert (NAMES[value.dtype], value.ndim - 1) == (kind.datatype, len(kind.dims)), name
    return found if outputs else found[0]


def texts(*values: str | bytes) -> np.ndarray:
    """A batch of texts, one a row, as Triton hands them over."""
    rows = np.empty((len(values), 1), object)
    rows[:, 0] = [value.encode() if isinstance(value, str) else value for value in values]
    return rows


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of them: [height, width] in grey, [height, width, 3] in colours."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()

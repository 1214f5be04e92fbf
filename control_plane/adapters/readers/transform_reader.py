"""Reading a transform: its steps are bound and typed by the code that a server runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backends.transform.nereid_transforms.files import Files
from backends.transform.nereid_transforms.spec import MAX_BYTES, SpecError, is_json
from backends.transform.nereid_transforms.tensor_type import TensorType
from backends.transform.nereid_transforms.transform import RowError, Transform
from control_plane.adapters.readers.refusal import RefusedError
from control_plane.adapters.tensors import Arrays
from control_plane.domain.registry.frameworks import MAIN_FILES, code_in

YAML, JSON = MAIN_FILES["transform"]


def read_signature(path: Path, files: Mapping[str, Path]) -> tuple[dict[str, Any], str]:
    """The signature that follows from the steps, and the name the file should have.

    Args:
        files: the other members of its archive, by name.

    Raises:
        RefusedError: it is no transform, its steps do not fit together, or code comes with it.
    """
    if code := code_in(files):
        raise RefusedError(
            f"a transform is data, and the archive holds {' and '.join(code)}: take it out, or "
            "send a python model"
        )
    transform = open_transform(path, files)
    signature = {
        "inputs": [_tensor(name, kind) for name, kind in transform.inputs.items()],
        "outputs": [_tensor(name, kind) for name, kind in transform.outputs.items()],
    }
    return signature, JSON if is_json(path.read_bytes()) else YAML


def open_transform(path: Path, files: Mapping[str, Path]) -> Transform:
    """The transform, ready to be run.

    Raises:
        RefusedError: its steps do not fit together; the step and the tensor are named.
    """
    if path.stat().st_size > MAX_BYTES:
        raise RefusedError(f"a transform has at most {MAX_BYTES} bytes")
    try:
        return Transform.read(path.read_bytes(), Files(files))
    except SpecError as error:
        raise RefusedError(f"not a transform that can be served: {error}") from error


def run(transform: Transform, inputs: Arrays) -> Arrays:
    """What it gives for golden inputs.

    Raises:
        RefusedError: a value of them cannot be transformed.
    """
    names = list(transform.outputs)
    try:
        return dict(zip(names, transform.run(names, inputs), strict=True))
    except RowError as error:
        raise RefusedError(f"a golden example cannot be transformed: {error}") from error


def _tensor(name: str, kind: TensorType) -> dict[str, Any]:
    return {"name": name, "datatype": kind.datatype, "shape": [-1, *kind.dims]}

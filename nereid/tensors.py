"""Inference inputs from files, fitted to what a model says it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nereid.errors import NereidError
from nereid.resources import Tensor

Array = npt.NDArray[Any]
DTYPES: Mapping[str, type[np.generic]] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}


def load_inputs(path: Path, wanted: Sequence[Tensor]) -> dict[str, Array]:
    """Read a file and give it the names, types and batch axis that the model wants.

    ``.npy`` holds the only input, ``.npz`` one array per input. JSON is a list (the only input),
    an object of lists by input name, or a v2 request body.
    """
    return fitted(_read(path, wanted), wanted, str(path))


def fitted(named: Mapping[str, Any], wanted: Sequence[Tensor], where: str) -> dict[str, Array]:
    """Values by input name, with the types and batch axis that the model wants.

    Raises:
        NereidError: an input is missing, unknown, or does not fit; the words begin with `where`.
    """
    by_name = {tensor.name: tensor for tensor in wanted}
    unknown = sorted(named.keys() - by_name.keys())
    if unknown:
        raise NereidError(
            f"{where} has {', '.join(unknown)}, but the inputs are {', '.join(by_name)}"
        )
    missing = sorted(by_name.keys() - named.keys())
    if missing:
        raise NereidError(f"{where} has nothing for {', '.join(missing)}")
    return {name: _fit(name, value, by_name[name], where) for name, value in named.items()}


def as_named(values: Any, wanted: Sequence[Tensor]) -> Mapping[str, Any]:
    """Values of whatever kind by input name: a mapping has them, a DataFrame has columns of that
    name, and all else is the only input.

    Raises:
        NereidError: it is the only input, and the model takes several.
    """
    if isinstance(values, Mapping):
        return values
    names = {tensor.name for tensor in wanted}
    columns = getattr(values, "columns", None)
    if columns is not None and set(map(str, columns)) == names:
        return {str(name): values[name].tolist() for name in columns}
    return {_only(wanted, "the inputs"): getattr(values, "to_numpy", lambda: values)()}


def _read(path: Path, wanted: Sequence[Tensor]) -> dict[str, Any]:
    try:
        if path.suffix in {".npy", ".npz"}:
            loaded = np.load(path, allow_pickle=False)
            if path.suffix == ".npz":
                return {name: loaded[name] for name in loaded.files}
            return {_only(wanted, path): loaded}
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise NereidError(f"{path} cannot be read: {error}") from error
    if isinstance(document, list):
        return {_only(wanted, path): document}
    if isinstance(document, dict) and isinstance(document.get("inputs"), list):
        return {
            str(entry.get("name")): np.asarray(entry.get("data")).reshape(entry.get("shape") or -1)
            for entry in document["inputs"]
            if isinstance(entry, Mapping)
        }
    if isinstance(document, dict):
        return document
    raise NereidError(f"{path} holds neither a list nor an object")


def _only(wanted: Sequence[Tensor], path: Path | str) -> str:
    if len(wanted) != 1:
        names = ", ".join(tensor.name for tensor in wanted)
        raise NereidError(f"{path} must name its inputs: the model takes {names}")
    return wanted[0].name


def _fit(name: str, value: Any, tensor: Tensor, where: str) -> Array:
    dtype = DTYPES.get(tensor.datatype)
    if dtype is None:
        raise NereidError(f"input {name} has datatype {tensor.datatype}, which files cannot hold")
    try:
        array = np.asarray(value, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise NereidError(f"{where}: {name} does not fit {tensor}: {error}") from error
    # A column as it comes out of a table: one number a row.
    if array.ndim == 1 and tuple(tensor.shape) == (-1, 1):
        array = array[:, None]
    # One example without its batch axis is what people have at hand.
    if array.ndim == len(tensor.shape) - 1 and tensor.shape[0] == -1:
        array = array[None]
    fits = array.ndim == len(tensor.shape) and all(
        size in (-1, have) for size, have in zip(tensor.shape, array.shape, strict=True)
    )
    if not fits:
        raise NereidError(f"{where}: {name} has shape {list(array.shape)}, wanted {tensor}")
    return array

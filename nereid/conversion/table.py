"""The sample: as its owner has it, and as the tensors that the ONNX model takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nereid.errors import ConversionError

Array = npt.NDArray[Any]
MATRIX = "x"
"""The only input of a model whose sample has no named columns."""


@dataclass(frozen=True)
class Table:
    """A sample of one row or more."""

    original: Any
    """As the fitted object takes it."""

    inputs: Mapping[str, Array]
    """By the input's name: a column [rows, 1] each, or the matrix [rows, columns]."""

    named: bool

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())))

    @property
    def precisions(self) -> tuple[str, str]:
        """What to compute in: first that of the widest input."""
        double = any(array.dtype == np.float64 for array in self.inputs.values())
        return ("double", "float") if double else ("float", "double")


def read_table(sample: Any) -> Table:
    """The sample of a push, a DataFrame of any kind that has columns or something like an array.

    Raises:
        ConversionError: it has no rows, is not a table, or holds what ONNX has no type for.
    """
    if sample is None:
        raise ConversionError(
            "a fitted object needs a sample\nAdd sample=X with some rows as it takes them: names "
            "and types of the inputs are read from it, and the answers to it are compared."
        )
    if hasattr(sample, "columns") and hasattr(sample, "__getitem__"):
        inputs = _columns(sample)
    else:
        array = np.asarray(sample)
        if array.ndim != 2:
            shape = list(array.shape)
            raise ConversionError(f"the sample has the shape {shape}, not [rows, columns]")
        inputs = {MATRIX: _typed(array, "the sample")}
    if not inputs or 0 in next(iter(inputs.values())).shape:
        raise ConversionError("the sample is empty: give some rows that the model answers well")
    return Table(sample, inputs, hasattr(sample, "columns"))


def _columns(frame: Any) -> dict[str, Array]:
    names = list(frame.columns)
    wrong = [name for name in names if not isinstance(name, str) or not name]
    if wrong or len(set(names)) < len(names):
        which = repr(wrong[0]) if wrong else "two columns of the same name"
        raise ConversionError(
            f"the sample has {which}, and every column becomes an input of its name\n"
            "Fit with columns named by different texts, or with a NumPy array."
        )
    return {name: _typed(np.asarray(frame[name]), f"column {name!r}")[:, None] for name in names}


def _typed(array: Array, where: str) -> Array:
    """With a type that ONNX's operators for such models have."""
    if array.dtype in (np.float32, np.float64, np.bool_):
        return array
    if array.dtype.kind in "iu":
        if array.size and int(array.max()) > np.iinfo(np.int64).max:
            raise ConversionError(f"{where} has numbers above an INT64")
        return array.astype(np.int64)
    if array.dtype.kind == "U":
        return array.astype(object)
    if array.dtype.kind == "O":
        return _texts(array, where)
    raise ConversionError(
        f"{where} is of the type {array.dtype}: take float32, float64, integers, booleans or texts"
    )


def _texts(array: Array, where: str) -> Array:
    for index, value in np.ndenumerate(array):
        if not isinstance(value, str):
            raise ConversionError(
                f"{where}, row {index[0]} has {value!r} of the type {type(value).__name__}, and "
                "texts, or numbers of one type, are taken\nGive a missing text a name of its own, "
                "and nullable numbers as float64 or int64."
            )
    return array.astype(object)

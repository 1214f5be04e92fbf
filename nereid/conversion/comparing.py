"""The ONNX model's answers beside the original's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nereid.conversion.table import Array, Table
from nereid.errors import ConversionError, DifferentAnswersError

GOLDEN_ROWS = 4


@dataclass(frozen=True)
class Comparison:
    """What came of it, where everything was near enough."""

    largest: float
    """Of all differences between two numbers."""

    expected: Mapping[str, Array]
    """The original's answers, in the shapes and types of the ONNX model's."""


def compared(
    content: bytes, table: Table, wanted: Mapping[str, Array], tolerance: float
) -> Comparison:
    """Asks the ONNX model all rows at once, and the first alone.

    Raises:
        ConversionError: ONNX Runtime cannot run it.
        DifferentAnswersError: the first value that is further away than the tolerance.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        got = session.run(list(wanted), dict(table.inputs))
        first = session.run(list(wanted), {name: a[:1] for name, a in table.inputs.items()})
    except Exception as error:  # ONNX Runtime has a class of its own for each kind of failure
        raise ConversionError(f"ONNX Runtime does not run what was converted: {error}") from error
    largest, expected = 0.0, {}
    for (name, original), answer, alone in zip(wanted.items(), got, first, strict=True):
        largest = max(largest, _difference(name, answer, original, tolerance))
        _difference(name, alone, original[:1], tolerance)
        expected[name] = original.reshape(answer.shape).astype(answer.dtype)
    return Comparison(largest, expected)


def golden_of(
    table: Table, expected: Mapping[str, Array], tolerance: float
) -> list[dict[str, Any]]:
    """Some rows from all over the sample, each an example, so that they fit every batch size.

    JSON has no NaN and no infinity: rows with such a value are passed over.
    """
    tensors = [*table.inputs.values(), *expected.values()]
    whole = [row for row in range(table.rows) if all(_is_finite(t[row : row + 1]) for t in tensors)]
    places = np.linspace(0, len(whole) - 1, min(GOLDEN_ROWS, len(whole))).astype(int)
    return [
        {
            "inputs": {name: _row(array, whole[place]) for name, array in table.inputs.items()},
            "outputs": {name: _row(array, whole[place]) for name, array in expected.items()},
            "tolerance": tolerance,
        }
        for place in places
    ]


def _difference(name: str, got: Array, want: Array, tolerance: float) -> float:
    """The largest one, where none is above the tolerance."""
    if got.size != want.size or got.shape[:1] != want.shape[:1]:
        raise ConversionError(
            f"{name} has the shape {list(want.shape)}, and {list(got.shape)} in the ONNX model"
        )
    ours, theirs = got.reshape(len(got), -1), want.reshape(len(want), -1)
    if ours.dtype.kind in "OU" or theirs.dtype.kind in "OU":
        ours, theirs = ours.astype(str), theirs.astype(str)
        far, largest = ours != theirs, 0.0
    else:
        ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
        same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        apart = np.where(same, 0.0, np.abs(ours - theirs))
        far = ~(apart <= tolerance * np.maximum(1.0, np.abs(theirs)))
        largest = float(apart.max())
    if far.any():
        row, column = (int(n) for n in np.argwhere(far)[0])
        values = ours[row, column].item(), theirs[row, column].item()
        raise DifferentAnswersError(name, row, column, *values, tolerance)
    return largest


def _is_finite(values: Array) -> bool:
    return values.dtype.kind != "f" or bool(np.isfinite(values).all())


def _row(array: Array, index: int) -> Any:
    return array[index : index + 1].tolist()

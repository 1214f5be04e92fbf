"""A fitted model of scikit-learn, XGBoost or LightGBM as an ONNX file that answers the same.

What converts is imported where it is needed: `pip install 'nereid[convert]'`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nereid.conversion.comparing import Comparison, compared, golden_of
from nereid.conversion.exporting import exported
from nereid.conversion.origin import origin_of
from nereid.conversion.originals import original_answers
from nereid.conversion.table import Array, Table, read_table
from nereid.errors import ConversionError

TOLERANCE = 1e-4
"""A number is near enough when |got - expected| <= tolerance * max(1, |expected|)."""


@dataclass(frozen=True)
class Converted:
    """A file to push, and what is told of it."""

    path: Path
    golden: list[dict[str, Any]] = field(default_factory=list)
    provenance: Mapping[str, Any] = field(default_factory=dict)


def converted(fitted: Any, sample: Any, folder: Path, tolerance: float = TOLERANCE) -> Converted:
    """The fitted object as `model.onnx` in this folder, its answers compared with the original's.

    Args:
        sample: rows as the object takes them, [rows, columns]: a NumPy array, which makes one input
            `x`, or a DataFrame, which makes an input of each column.

    Raises:
        ConversionError: it cannot be converted; the words name the step and what to do.
        DifferentAnswersError: the ONNX model answers otherwise; with row, column and both values.
    """
    table = read_table(sample)
    wanted = original_answers(fitted, table)
    if both := sorted(table.inputs.keys() & wanted.keys()):
        raise ConversionError(f"an output is called {both[0]!r}: call that column otherwise")
    model, comparison = _nearest(fitted, table, wanted, tolerance)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    told = {"largest_difference": comparison.largest, "compared_rows": table.rows}
    golden = golden_of(table, comparison.expected, tolerance)
    return Converted(path, golden, {**origin_of(fitted, model), **told})


def _nearest(
    fitted: Any, table: Table, wanted: Mapping[str, Array], tolerance: float
) -> tuple[Any, Comparison]:
    """The model in the sample's own precision, or in the other where only that answers alike.

    Some operators have no double precision; and a scaler in single precision may bring a number to
    the other side of a tree's threshold.
    """
    first: ConversionError | None = None
    for precision in table.precisions:
        try:
            model = exported(fitted, table, list(wanted), precision)
            return model, compared(model.SerializeToString(), table, wanted, tolerance)
        except ConversionError as error:
            first = first or error
    raise first or ConversionError("there is no precision to try")

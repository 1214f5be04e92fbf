"""Rows of tensors, for files that do not say themselves what they take and give."""

from __future__ import annotations

import re
from typing import Any

from control_plane.console.word_rows import Rows

INPUT = ("input.name", "input.datatype", "input.shape")
OUTPUT = ("output.name", "output.datatype", "output.shape")

_BETWEEN = re.compile(r"[\s,x]+")
_SIZE = re.compile(r"-?[0-9]{1,18}")


def inputs_in(rows: Rows) -> list[dict[str, Any]]:
    """The inputs that are written there, as a signature's document has them."""
    return _tensors(rows, "/signature/inputs")


def outputs_in(rows: Rows) -> list[dict[str, Any]]:
    """The outputs that are written there, as a signature's document has them."""
    return _tensors(rows, "/signature/outputs")


def _tensors(rows: Rows, where: str) -> list[dict[str, Any]]:
    """Notes where each stands, so that what is wrong with it is said there."""
    found = []
    for i, row in enumerate(rows.rows):
        name, datatype, shape = row.texts
        row.pointer = f"{where}/{i}"
        sizes = [size for size in _BETWEEN.split(shape.strip("[]() ")) if size]
        if all(_SIZE.fullmatch(size) for size in sizes):
            tensor = {"name": name, "datatype": datatype.upper(), "shape": [*map(int, sizes)]}
            found.append(tensor)
        else:
            row.errors.append("a shape is whole numbers with commas: -1, 3, 224, 224")
    return found

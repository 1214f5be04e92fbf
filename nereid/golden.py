"""Golden examples from files: inputs, and the outputs that every server has to give."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nereid.errors import NereidError

FORMS = (
    'a JSON object {"inputs": {…}, "outputs": {…}, "tolerance": 1e-4} or a list of such, or a .npz '
    "with arrays named inputs/NAME and outputs/NAME"
)


def read_golden(paths: Sequence[Path], tolerance: float | None = None) -> list[dict[str, Any]]:
    """The examples in these files; `tolerance` is for those that say none.

    Raises:
        NereidError: a file cannot be read, or holds something else.
    """
    found = [example for path in paths for example in _examples(path)]
    if tolerance is None:
        return found
    return [{"tolerance": tolerance, **example} for example in found]


def _examples(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".npz":
            return [_of_arrays(path)]
        document = json.loads(path.read_text())
    except (OSError, ValueError, KeyError) as error:
        raise NereidError(
            f"{path} cannot be read: {error}\nGolden examples are {FORMS}."
        ) from error
    if isinstance(document, dict) and "golden" in document:
        document = document["golden"]
    listed = document if isinstance(document, list) else [document]
    for index, example in enumerate(listed):
        if not isinstance(example, dict) or not {"inputs", "outputs"} <= example.keys():
            raise NereidError(f"{path}: example {index} has no inputs and outputs\nIt is {FORMS}.")
    return listed


def _of_arrays(path: Path) -> dict[str, Any]:
    sides: dict[str, dict[str, Any]] = {"inputs": {}, "outputs": {}}
    with np.load(path, allow_pickle=False) as arrays:
        for key in arrays.files:
            side, slash, name = key.partition("/")
            if not slash or not name or side not in sides:
                raise NereidError(f"{path} has an array {key!r}\nGolden examples are {FORMS}.")
            sides[side][name] = arrays[key].tolist()
    if not all(sides.values()):
        raise NereidError(f"{path} has no inputs and outputs\nGolden examples are {FORMS}.")
    return sides

"""What holds for every op: types are kept to, and rows know nothing of each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.transform.nereid_transforms.table import OURS
from tests.support.transforms import png, step, texts, typed

RNG = np.random.default_rng(7)
FLOATS = RNG.normal(size=(6, 4)).astype(np.float32)
IMAGES = RNG.integers(0, 256, (6, 5, 4, 3)).astype(np.uint8)
FILES = texts(*(png(image) for image in IMAGES))
CLASSES = RNG.integers(0, 4, (6, 1))
DOCUMENTS = texts(*(f'{{"x": {i}}}' for i in range(6)))
WORDS = texts("a", "b", "", "ü", "a", "c")

CASES: dict[str, tuple[dict[str, Any], dict[str, np.ndarray], list[str]]] = {
    "decode_image": ({}, {"input": FILES}, ["output"]),
    "resize": ({"height": 3, "width": 7}, {"input": IMAGES}, ["output"]),
    "center_crop": ({"height": 3, "width": 2}, {"input": IMAGES}, ["output"]),
    "crop": ({"top": 1, "left": 1, "height": 3, "width": 2}, {"input": IMAGES}, ["output"]),
    "normalize": ({"mean": [1, 2, 3], "std": [4]}, {"input": IMAGES}, ["output"]),
    "to_chw": ({}, {"input": IMAGES}, ["output"]),
    "standard_scale": ({"mean": [1, 2, 3, 4], "std": [2]}, {"input": FLOATS}, ["output"]),
    "min_max_scale": ({"min": [-1], "max": [1], "clip": True}, {"input": FLOATS}, ["output"]),
    "clip": ({"min": 0}, {"input": FLOATS}, ["output"]),
    "fill_missing": ({"value": 1}, {"input": np.where(FLOATS > 0, FLOATS, np.nan)}, ["output"]),
    "add": ({}, {"input": FLOATS, "other": FLOATS[:, :1]}, ["output"]),
    "subtract": ({"value": [1, 2, 3, 4]}, {"input": FLOATS}, ["output"]),
    "multiply": ({}, {"input": FLOATS, "other": FLOATS[::-1]}, ["output"]),
    "divide": ({"value": 0}, {"input": FLOATS}, ["output"]),
    "category": ({"vocabulary": ["a", "b"]}, {"input": WORDS}, ["output"]),
    "hash_bucket": ({"buckets": 7}, {"input": WORDS}, ["output"]),
    "one_hot": ({"classes": 4}, {"input": CLASSES}, ["output"]),
    "date_features": ({"features": ["year", "hour_sin"]}, {"input": CLASSES}, ["output"]),
    "cast": ({"to": "INT16"}, {"input": FLOATS}, ["output"]),
    "reshape": ({"dims": [2, 2]}, {"input": FLOATS}, ["output"]),
    "transpose": ({"order": [2, 0, 1]}, {"input": IMAGES}, ["output"]),
    "concat": ({}, {"a": FLOATS, "b": FLOATS[:, :2]}, ["output"]),
    "select": ({"columns": [3, 0]}, {"input": FLOATS}, ["output"]),
    "softmax": ({}, {"input": FLOATS}, ["output"]),
    "argmax": ({"labels": list("abcd")}, {"input": FLOATS}, ["index", "label"]),
    "top_k": ({"k": 2}, {"input": FLOATS}, ["values", "indices"]),
    "threshold": ({"at": 0}, {"input": FLOATS}, ["output"]),
    "parse_json": ({"fields": {"x": {}}}, {"input": DOCUMENTS}, ["x"]),
    "build_json": ({"decimals": 3}, {"a": FLOATS, "b": CLASSES}, ["output"]),
}


def test_every_op_is_here() -> None:
    assert CASES.keys() | {"tokenize"} == OURS.keys()  # that one has a file, and its own tests


@pytest.mark.parametrize("op", CASES)
@settings(max_examples=10)
@given(rows=st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_a_row_is_the_same_in_every_batch(op: str, rows: list[int]) -> None:
    options, values, outputs = CASES[op]
    made = step(op, options, {port: typed(value) for port, value in values.items()}, outputs)
    whole = made.run(outputs, values)
    some = made.run(outputs, {port: value[rows] for port, value in values.items()})
    for name, every, few in zip(outputs, whole, some, strict=True):
        kind = made.outputs[name]
        assert typed(every)[0] == kind.datatype
        assert -1 in kind.dims or every.shape[1:] == kind.dims
        assert np.array_equal(every[rows], few, equal_nan=every.dtype.kind == "f")

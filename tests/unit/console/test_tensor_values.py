"""Tensors as people write and read them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.console.tensor_values import (
    MAX_ELEMENTS,
    NUMPY_OF,
    ValueRefusedError,
    filled,
    nested,
    read_shape,
    read_values,
    values_of,
)


@given(st.lists(st.integers(0, 3), max_size=4), st.data())
def test_what_is_written_out_is_read_back(shape: list[int], data: st.DataObject) -> None:
    count = int(np.prod(shape, dtype=int))
    for kind, element in (("INT16", st.integers(-(2**15), 2**15 - 1)), ("BYTES", st.text())):
        values = data.draw(st.lists(element, min_size=count, max_size=count))
        text = nested(values, tuple(shape))
        if 0 not in shape:
            expected: Any = np.array(values, dtype=object).reshape(shape).tolist()
            assert json.loads(text) == expected
        assert values_of(read_values("x", kind, tuple(shape), text)) == values


@pytest.mark.parametrize("datatype", [*NUMPY_OF, "BYTES"])
@pytest.mark.parametrize("how", ["zeros", "ones", "random"])
def test_every_datatype_can_be_filled_and_shown(datatype: str, how: str) -> None:
    values = values_of(filled("x", datatype, (2, 3), how))
    assert len(values) == 6
    if how == "ones":
        assert set(values) == ({"1"} if datatype == "BYTES" else {1})


@pytest.mark.parametrize(
    ("text", "declared", "word"),
    [
        ("1, 2", [-1, 3], "the model takes [any, 3]"),
        ("1", [1, 1], "the model takes"),
        ("-1, 3", [-1, 3], "the model takes"),
        ("a, b", [-1, 3], "is no shape"),
        ("9" * 5000, [-1], "is no shape"),
        (str(MAX_ELEMENTS + 1), [-1], "send these with a client"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(text: str, declared: list[int], word: str) -> None:
    with pytest.raises(ValueRefusedError) as refusal:
        read_shape(text, declared)
    assert word in str(refusal.value)
    assert read_shape("[2, 3]", [-1, 3]) == read_shape("2,3", [2, 3]) == (2, 3)
    assert read_shape("", []) == ()


@pytest.mark.parametrize(
    ("datatype", "text"),
    [
        ("FP32", "[1, 2"),
        ("FP32", "[1, 2, 3]"),
        ("FP32", '[1, "2"]'),
        ("FP32", "[1, null]"),
        ("FP32", "[1, true]"),
        ("FP16", "[1, 1e6]"),
        ("INT8", "[1, 128]"),
        ("INT8", "[1, 1.5]"),
        ("UINT8", "[1, -1]"),
        ("INT64", f"[1, {1 << 63}]"),
        ("INT64", f"[1, {'9' * 5000}]"),
        ("BOOL", "[true, 1]"),
        ("BYTES", '["a", 1]'),
        ("BF16", "[1, 2]"),
        ("FP32", "[" * 100_000),
        ("FP32", "[" * 900 + "]" * 900),
        ("INT32", "[1, 1e999]"),
    ],
)
def test_values_that_are_none_are_refused(datatype: str, text: str) -> None:
    with pytest.raises(ValueRefusedError):
        read_values("x", datatype, (2,), text)

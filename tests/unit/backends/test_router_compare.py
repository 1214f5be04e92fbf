"""A shadow's output against the answer: every numeric type, with NumPy as the judge."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.support.routing_parts import Difference, compare

BYTES, BF16 = 13, 14
TYPES = {
    np.dtype(dtype): number
    for dtype, number in {
        "bool": 1,
        **{
            f"uint{bits}": number for bits, number in zip((8, 16, 32, 64), range(2, 6), strict=True)
        },
        **{
            f"int{bits}": number for bits, number in zip((8, 16, 32, 64), range(6, 10), strict=True)
        },
        "float16": 10,
        "float32": 11,
        "float64": 12,
    }.items()
}


def distance(a: object, b: object) -> float:
    """Exact where the numbers are whole, however large."""
    if isinstance(a, bool | int):
        return float(abs(int(a) - int(b)))
    if a == b or (math.isnan(a) and math.isnan(b)):
        return 0.0
    apart = abs(a - b)
    return math.inf if math.isnan(apart) else apart


def expected(answer: np.ndarray, shadow: np.ndarray) -> Difference:
    if answer.size == 0:
        return Difference(0.0, 0, 0)
    pairs = zip(answer.ravel().tolist(), shadow.ravel().tolist(), strict=True)
    width = answer.shape[-1] if answer.ndim else 1
    rows = [values.reshape(-1, width).argmax(axis=1) for values in (answer, shadow)]
    return Difference(
        max(distance(a, b) for a, b in pairs), len(rows[0]), int((rows[0] == rows[1]).sum())
    )


@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@given(data=st.data())
def test_every_type_as_numpy_sees_it(dtype: np.dtype, data: st.DataObject) -> None:
    shape = data.draw(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    answer, shadow = (data.draw(arrays.arrays(dtype, shape)) for _ in range(2))
    assert compare(answer, shadow, TYPES[dtype]) == expected(answer, shadow)
    assert compare(answer, answer, TYPES[dtype]) == expected(answer, answer)


@pytest.mark.parametrize("bits", range(0, 65_536, 257))
def test_halves_of_every_kind(bits: int) -> None:
    half = np.array([bits], np.uint16).view(np.float16)
    zero = np.zeros(1, np.float16)
    assert compare(half, zero, 10) == expected(half, zero)


def bfloat(values: list[float]) -> np.ndarray:
    """The upper halves of floats, as BF16 has them."""
    return (np.array(values, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def test_bf16_is_the_upper_half_of_a_float() -> None:
    answer, shadow = [1.0, -2.0, 0.5, 96.0], [1.5, -2.0, 0.5, 64.0]
    assert compare(bfloat(answer), bfloat(shadow), BF16) == Difference(32.0, 1, 1)
    assert compare(bfloat([math.nan]), bfloat([1.0]), BF16) == Difference(math.inf, 1, 1)


def test_nan_against_a_number_is_infinitely_far_and_against_itself_nothing() -> None:
    nan, one = np.array([math.nan, 0.0]), np.array([0.0, 1.0])
    assert compare(nan, one, 12) == Difference(math.inf, 1, 0)
    assert compare(nan, nan, 12) == Difference(0.0, 1, 1)
    # As in NumPy, it is the largest: the place of a NaN must not depend on what stands before it.
    assert compare(np.array([1.0, math.nan]), np.array([1.0, 2.0]), 12).agreed == 1
    assert compare(np.array([1.0, math.nan]), np.array([2.0, 1.0]), 12).agreed == 0


def test_the_first_of_equal_tops_counts() -> None:
    tied, first, second = np.array([[5, 5]]), np.array([[5, 4]]), np.array([[4, 5]])
    assert compare(tied, first, 9) == Difference(1.0, 1, 1)
    assert compare(tied, second, 9) == Difference(1.0, 1, 0)


def test_what_cannot_be_compared() -> None:
    values = np.zeros((2, 3), np.float32)
    assert compare(values, values.reshape(3, 2), 11) is None
    assert compare(values, values.reshape(6), 11) is None
    assert compare(values, values, 11, 4) is None  # FP32 and UINT32
    assert compare(values, values, BYTES) is None
    assert compare(values, values, 0) is None
    assert compare(values, values, 12) is None  # too few bytes for FP64
    assert compare(values, values.astype(np.float64), 11) is None  # too many for FP32

"""How sure an answer is: the router's reading of every kind of output, with NumPy as the judge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from control_plane.domain import confidence as counted
from tests.support.routing_parts import confidence, confidence_edges

UINT8, FP16, FP32, FP64, BF16 = 2, 10, 11, 12, 14
TYPES = {np.float16: FP16, np.float32: FP32, np.float64: FP64}


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("dtype", TYPES)
@given(data=st.data())
def test_it_is_the_mean_of_the_rows_largest(dtype: type, data: st.DataObject) -> None:
    shape = data.draw(arrays.array_shapes(min_dims=1, max_dims=3, min_side=2, max_side=5))
    values = st.floats(-30, 30, width=16)
    logits = data.draw(arrays.arrays(dtype, shape, elements=values))
    sure = softmax(logits.astype(np.float64))
    expected = pytest.approx(sure.max(axis=-1).mean(), abs=2e-3 if dtype is np.float16 else 1e-5)
    assert confidence(logits, TYPES[dtype], logits=True) == expected
    assert confidence(sure.astype(dtype), TYPES[dtype]) == expected


def test_one_class_alone_is_that_of_a_pair() -> None:
    assert confidence(np.array([[0.9], [0.2]]), FP64) == pytest.approx(0.85)
    assert confidence(np.array([[0.0], [2.0], [-2.0]]), FP64, logits=True) == pytest.approx(
        (0.5 + 2 / (1 + np.exp(-2))) / 3
    )


def test_what_is_no_probability_counts_as_none() -> None:
    rows = np.array([[0.2, 0.8], [np.nan, 0.8], [0.3, 7.5], [-0.5, -0.1]])
    assert confidence(rows, FP64) == pytest.approx(0.8 / 4)
    # A sum that is 1 but for rounding is one.
    assert confidence(np.array([[1.004, 0.0]], np.float32), FP32) == 1
    masked = np.array([[-np.inf, 0.0], [-np.inf, -np.inf], [np.inf, 0.0], [np.nan, 0.0]])
    assert confidence(masked, FP64, logits=True) == pytest.approx(1 / 4)
    assert confidence(np.array([[1e30, -1e30]], np.float32), FP32, logits=True) == 1


def test_bf16_is_read_too() -> None:
    upper = (np.array([0.25, 0.75], np.float32).view(np.uint32) >> 16).astype(np.uint16)
    assert confidence(upper, BF16) == 0.75


def test_where_there_is_nothing_to_read() -> None:
    assert confidence(np.array([1, 2], np.uint8), UINT8) is None
    assert confidence(np.zeros((0, 10), np.float32), FP32) is None
    assert confidence(np.zeros((3, 0), np.float32), FP32) is None
    assert confidence(np.array(0.5), FP64) is None
    assert confidence(np.zeros((2, 3), np.float32), FP64) is None, "too few bytes"


def test_the_control_plane_knows_the_edges_of_the_buckets() -> None:
    edges = confidence_edges()
    assert edges == [counted.edge(bucket) for bucket in range(counted.OVERFLOW)]
    assert [counted.edge_near(edge) for edge in edges] == list(range(counted.OVERFLOW))
    # As a page of metrics prints them.
    assert [counted.edge_near(float(f"{edge:.6g}")) for edge in edges] == list(range(len(edges)))

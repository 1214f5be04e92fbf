"""Numbers, shapes and statistics against plain numpy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from backends.transform.nereid_transforms.spec import SpecError
from backends.transform.nereid_transforms.transform import RowError
from tests.support.transforms import ran, step, texts

ROWS = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 5), st.just(3)), elements=st.floats(-1e3, 1e3, width=32)
)
SMALL = st.integers(0, 9)


@given(ROWS)
def test_stored_statistics_scale_as_scikit_learn_does(x: np.ndarray) -> None:
    train = np.array([[1.0, -5, 100], [3, 5, 300], [5, 0, 350]])
    standard, between = StandardScaler().fit(train), MinMaxScaler((-1, 1)).fit(train)
    found = ran("standard_scale", {"mean": standard.mean_, "std": standard.scale_}, x)
    assert np.allclose(found, standard.transform(x), rtol=1e-5, atol=1e-5)
    options = {"min": train.min(0), "max": train.max(0), "low": -1, "high": 1}
    wanted = between.transform(x)
    assert np.allclose(ran("min_max_scale", options, x), wanted, rtol=1e-5, atol=1e-4)
    clipped = ran("min_max_scale", options | {"clip": True}, x)
    assert np.allclose(clipped, wanted.clip(-1, 1), rtol=1e-5, atol=1e-4)


def test_what_is_much_larger_than_its_spread_keeps_its_figures() -> None:
    seconds = np.array([[1_700_000_000], [1_700_000_030]], np.int64)
    scaled = ran("standard_scale", {"mean": [1_700_000_000], "std": [60]}, seconds)
    assert scaled.tolist() == [[0.0], [0.5]]


@given(ROWS, ROWS)
def test_arithmetic_of_two_tensors_and_of_a_tensor_and_constants(
    x: np.ndarray, y: np.ndarray
) -> None:
    y = np.resize(y, x.shape)
    assert np.array_equal(ran("add", {}, x, y), x + y)
    assert np.array_equal(ran("subtract", {}, x, y[:, :1]), x - y[:, :1])
    assert np.array_equal(ran("multiply", {"value": [1, 2, 3]}, x), x * np.float32([1, 2, 3]))
    assert np.array_equal(ran("divide", {"value": 4}, x), x / np.float32(4))
    assert np.array_equal(ran("clip", {"min": -1, "max": 2.5}, x), x.clip(-1, 2.5))


def test_integers_stay_integers() -> None:
    x = np.array([[1, 2], [300, 4]], np.int32)
    assert ran("add", {"value": 2}, x).tolist() == [[3, 4], [302, 6]]
    assert ran("clip", {"max": 10}, x).tolist() == [[1, 2], [10, 4]]
    with pytest.raises(SpecError, match=r"step 1 \(add\): the tensor 'input' is INT32\[2\], and"):
        ran("add", {"value": 0.5}, x)
    with pytest.raises(SpecError, match="takes FP16 or FP32 or FP64: cast it first"):
        ran("divide", {"value": 2}, x)


def test_missing_numbers_are_filled_in_by_column() -> None:
    x = np.array([[np.nan, 1], [2, np.nan]], np.float32)
    assert ran("fill_missing", {"value": [7, 8]}, x).tolist() == [[7, 1], [2, 8]]
    assert ran("fill_missing", {"value": 0}, x).tolist() == [[0, 1], [2, 0]]


@given(arrays.arrays(np.int16, (2, 3, 4), elements=SMALL), st.permutations([0, 1]))
def test_shapes_change_and_values_stay(x: np.ndarray, order: list[int]) -> None:
    assert np.array_equal(ran("reshape", {"dims": [2, -1]}, x), x.reshape(2, 2, 6))
    assert np.array_equal(ran("reshape", {"dims": []}, x[:, :1, :1]), x[:, 0, 0])
    there = ran("transpose", {"order": order}, x)
    assert np.array_equal(ran("transpose", {"order": np.argsort(order).tolist()}, there), x)
    left, right = ran("select", {"columns": [0]}, x), ran("select", {"columns": [1, 2, 3]}, x)
    assert np.array_equal(ran("concat", {}, left, right), x)
    assert np.array_equal(ran("concat", {"axis": 0}, x, x), np.concatenate([x, x], 1))


def test_columns_in_any_order_and_twice() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert ran("select", {"columns": [2, 0, 2]}, x).tolist() == [[2, 0, 2], [5, 3, 5]]


@pytest.mark.parametrize(
    ("to", "given", "wanted"),
    [
        ("INT32", np.array([[1.9, -1.9]], np.float32), [[1, -1]]),
        ("FP32", np.array([[1, 2]], np.int64), [[1.0, 2.0]]),
        ("BOOL", np.array([[0, 2]], np.int8), [[False, True]]),
        ("UINT8", np.array([[True, False]]), [[1, 0]]),
        ("FP32", texts(" 1.5e3"), [[1500.0]]),
        ("INT64", texts("-9223372036854775808"), [[-(2**63)]]),
        ("BOOL", texts("True"), [[True]]),
        ("BYTES", np.array([[7, 8]], np.int64), [["7", "8"]]),
        ("BYTES", np.array([[True]]), [["true"]]),
    ],
)
def test_values_are_cast(to: str, given: np.ndarray, wanted: list) -> None:
    assert ran("cast", {"to": to}, given).tolist() == wanted


@pytest.mark.parametrize(
    ("to", "given", "says"),
    [
        ("UINT8", np.array([[256.0]], np.float32), "256 is beyond what UINT8 holds"),
        ("UINT64", np.array([[-1]], np.int8), "-1 is beyond what UINT64 holds"),
        ("INT64", np.array([[2.0**63]]), "is beyond what INT64 holds"),
        ("INT32", np.array([[np.nan]]), "fill_missing before it"),
        ("INT8", texts("200"), "200 is beyond what INT8 holds"),
        ("INT64", texts("1.5"), "'1.5' is no INT64"),
        ("FP32", texts("much"), "'much' is no FP32"),
        ("BOOL", texts("yes"), "'yes' is no BOOL"),
        ("INT64", texts(b"\xff"), "not UTF-8"),
    ],
)
def test_what_a_type_cannot_hold_is_refused(to: str, given: np.ndarray, says: str) -> None:
    with pytest.raises(RowError, match=says) as error:
        ran("cast", {"to": to}, given)
    assert str(error.value).startswith("step 1 (cast) of 'input': ")


@pytest.mark.parametrize(
    ("op", "options", "inputs", "says"),
    [
        ("reshape", {"dims": [4]}, {"x": ("FP32", [3])}, "'x' is FP32[3], and its 3 values do"),
        ("reshape", {"dims": [-1, -1]}, {"x": ("FP32", [3])}, "one of the dims may be -1"),
        ("transpose", {"order": [0, 0]}, {"x": ("FP32", [3, 3])}, "each of 0 to 1 once"),
        ("transpose", {"order": [1, 0]}, {"x": ("FP32", [3])}, "one of 2 dimensions"),
        ("select", {"columns": [3]}, {"x": ("FP32", [3])}, "3 columns, from 0: no 3"),
        ("concat", {}, {"a": ("FP32", [1]), "b": ("INT64", [1])}, "'b' is INT64[1], and the first"),
        (
            "concat",
            {},
            {"a": ("FP32", [2, 1]), "b": ("FP32", [3, 1])},
            "only the axis 1 may differ",
        ),
        ("concat", {"axis": 1}, {"a": ("FP32", [2]), "b": ("FP32", [2])}, "there is no axis 1"),
        ("cast", {"to": "FLOAT"}, {"x": ("FP32", [1])}, "options to: "),
        ("standard_scale", {"mean": [0], "std": [0]}, {"x": ("FP32", [1])}, "greater than 0"),
        ("standard_scale", {"mean": [0, 1], "std": [1]}, {"x": ("FP32", [3])}, "mean has 2 values"),
        ("min_max_scale", {"min": [1], "max": [1]}, {"x": ("FP32", [3])}, "that never varies"),
        ("clip", {}, {"x": ("FP32", [1])}, "it has a min, a max or both"),
        ("clip", {"min": 2, "max": 1}, {"x": ("FP32", [1])}, "max is not below min"),
        ("fill_missing", {"value": 0}, {"x": ("INT64", [1])}, "takes FP16 or FP32 or FP64"),
        ("add", {}, {"input": ("FP32", [1])}, "or the option value: one of the two"),
        ("add", {}, {"input": ("FP32", [2]), "other": ("FP32", [3])}, "dims are alike, or 1"),
        ("add", {"value": "x"}, {"input": ("FP32", [1])}, "options value.0: "),
        ("add", {"value": True}, {"input": ("FP32", [1])}, "a number, not true"),
        ("normalize", {"mean": [0], "std": [1], "axis": 1}, {"x": ("FP32", [3])}, "no axis 1"),
    ],
)
def test_what_cannot_be_is_refused_before_there_are_values(
    op: str, options: dict, inputs: dict, says: str
) -> None:
    with pytest.raises(SpecError) as error:
        step(op, options, inputs)
    assert says in str(error.value)
    assert f"step 1 ({op})" in str(error.value)

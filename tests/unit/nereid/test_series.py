"""Which requests an input is, as a sequence."""

from __future__ import annotations

import numpy as np
import pytest

from nereid.cli.series import series
from nereid.errors import NereidError
from nereid.inference import ModelFacts, Turn
from nereid.resources import Tensor

ROWS = ModelFacts("m", "", (Tensor("x", "FP32", (-1, 2)), Tensor("n", "INT64", (-1, 1))), ())
WHOLE = ModelFacts("m", "", (Tensor("x", "FP32", (2,)),), ())
THREE = {"x": np.arange(6).reshape(3, 2), "n": np.arange(3).reshape(3, 1)}


@pytest.mark.parametrize(
    ("goes_on", "keep", "starts", "ends"),
    [
        (False, False, [True, False, False], [False, False, True]),
        (True, False, [False, False, False], [False, False, True]),
        (False, True, [True, False, False], [False, False, False]),
    ],
)
def test_each_row_is_a_request(
    goes_on: bool, keep: bool, starts: list[bool], ends: list[bool]
) -> None:
    found = list(series(THREE, ROWS, "7", goes_on=goes_on, keep=keep))
    turns = [turn for _, turn in found]
    assert turns == [Turn(7, start, end) for start, end in zip(starts, ends, strict=True)]
    assert [inputs["x"].tolist() for inputs, _ in found] == [[[0, 1]], [[2, 3]], [[4, 5]]]
    assert [inputs["n"].tolist() for inputs, _ in found] == [[[0]], [[1]], [[2]]]


def test_a_model_without_batches_is_asked_once() -> None:
    [(inputs, turn)] = series({"x": np.zeros(2)}, WHOLE, "by-name", goes_on=False, keep=False)
    assert inputs["x"].shape == (2,)
    assert turn == Turn("by-name", start=True, end=True)


def test_without_a_sequence_it_is_one_request() -> None:
    assert [turn for _, turn in series(THREE, ROWS, None, goes_on=False, keep=False)] == [None]


def test_inputs_of_different_lengths_are_no_series() -> None:
    short = THREE | {"n": np.zeros((2, 1))}
    with pytest.raises(NereidError, match=r"\[2, 3\] rows"):
        list(series(short, ROWS, "7", goes_on=False, keep=False))

"""The weighted mean of several models' answers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.python_based import imported

weighted = imported("weighted", "weighted_average")
SettingError = imported("settings").SettingError

numbers = st.floats(-100, 100)
answers = st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=2, max_size=2)


def mean(weights: tuple[float, ...], scale: str, *values: Any) -> np.ndarray:
    return weighted.Weighted(("a", "b"), weights, scale).mean([np.array(v) for v in values])


@given(answers, st.tuples(st.floats(0.01, 10), st.floats(0, 10)))
def test_it_lies_between_the_answers_and_does_not_know_the_weights_scale(
    values: list[list[float]], weights: tuple[float, float]
) -> None:
    found = mean(weights, "as_is", *values)
    low, high = np.min(values, axis=0), np.max(values, axis=0)
    assert np.all((low - 1e-9 <= found) & (found <= high + 1e-9))
    assert np.allclose(found, mean((weights[0] * 7, weights[1] * 7), "as_is", *values))


def test_worked_example() -> None:
    assert mean((3, 1), "as_is", [[1.0, 0]], [[0.0, 1]]).tolist() == [[0.75, 0.25]]


def test_logits_vote_as_probabilities() -> None:
    found = mean((1, 1), "softmax", [[0.0, np.log(3)]], [[1000.0, 1000.0]])
    assert np.allclose(found, [[0.375, 0.625]])


def test_the_type_of_the_answers_stays() -> None:
    one = weighted.Weighted(("a",), (1.0,), "softmax")
    assert one.mean([np.ones((1, 2), np.float16)]).dtype == np.float16


def test_answers_of_different_shapes_are_no_mean() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        mean((1, 1), "as_is", [[1.0]], [[1.0, 2.0]])


GOOD = {"members": ["a", "b"], "weights": [0.3, 0.7], "scale": "softmax"}


def test_it_is_read_from_its_parameter() -> None:
    found = weighted.read_weighted({"weighted_average": json.dumps(GOOD)})
    assert found == weighted.Weighted(("a", "b"), (0.3, 0.7), "softmax")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {**GOOD, "members": []},
        {**GOOD, "weights": [1]},
        {**GOOD, "weights": [0, 0]},
        {**GOOD, "weights": [1, -1]},
        {**GOOD, "weights": [1, float("inf")]},
        {**GOOD, "weights": [1, float("nan")]},
        {**GOOD, "scale": "loud"},
    ],
)
def test_what_is_no_average_is_refused(wrong: Any) -> None:
    with pytest.raises(SettingError, match="parameter weighted_average"):
        weighted.read_weighted({"weighted_average": json.dumps(wrong)})

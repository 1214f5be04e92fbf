"""Which rows go on to the next member of a cascade, and whose answers are given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.python_based import imported

cascade = imported("cascade", "cascade")
confidence = imported("confidence", "cascade").confidence
SettingError = imported("settings").SettingError


class Members:
    """Member k answers x, k as its name, and calls itself as sure as its column k of x says."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def __call__(
        self, member: str, inputs: Mapping[str, np.ndarray], wanted: Sequence[str]
    ) -> dict[str, np.ndarray]:
        x, k = inputs["x"], int(member)
        self.calls.append((member, len(x)))
        known = {"y": x * 10 + k, "sure": x[:, k : k + 1], "who": np.full((len(x), 1), k)}
        return {name: known[name] for name in wanted}


rows = st.lists(
    st.lists(st.sampled_from([0.0, 0.5, 0.9, 1.0, float("nan")]), min_size=3, max_size=3),
    min_size=1,
    max_size=9,
)


@given(rows, st.lists(st.sampled_from([0.3, 0.9, 0.95]), min_size=2, max_size=2))
def test_each_row_is_answered_by_the_first_member_that_is_sure_of_it(
    values: list[list[float]], thresholds: list[float]
) -> None:
    members = Members()
    one = cascade.Cascade(("0", "1", "2"), tuple(thresholds), "sure", "probability")
    x = np.array(values)
    (y, steps, who), answered = one.answer(members, ("y", "cascade_step", "who"), {"x": x})
    by = [next((k for k in (0, 1) if row[k] >= thresholds[k]), 2) for row in values]
    assert steps.tolist() == who.tolist() == [[k] for k in by]
    assert np.array_equal(y, x * 10 + np.array(by)[:, None], equal_nan=True)
    assert answered.tolist() == [by.count(k) for k in range(3)]
    # Nobody is asked for rows that are answered, nor for none at all.
    left = [len(by), sum(k > 0 for k in by), sum(k > 1 for k in by)]
    assert members.calls == [(str(k), count) for k, count in enumerate(left) if count]


def test_the_confidence_is_asked_for_and_not_given_to_who_does_not_want_it() -> None:
    one = cascade.Cascade(("0", "1"), (0.9,), "sure", "probability")
    outputs, _ = one.answer(Members(), ("y",), {"x": np.ones((2, 3))})
    assert len(outputs) == 1


def test_members_whose_rows_have_other_shapes_are_named() -> None:
    def ask(member: str, inputs: Any, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        return {"y": np.zeros((len(inputs["x"]), 2 + int(member)))}

    one = cascade.Cascade(("0", "1"), (0.9,), "y", "probability")
    with pytest.raises(ValueError, match=r"output 'y' is \[3\] for one member and \[2\]"):
        one.answer(ask, ("y",), {"x": np.ones((2, 3))})


@pytest.mark.parametrize(
    ("score", "output", "wanted"),
    [
        ("probability", [[0.1, 0.7, 0.2], [0.4, 0.3, 0.3]], [0.7, 0.4]),
        ("softmax", [[0.0, 0.0], [0.0, np.log(3)]], [0.5, 0.75]),
        ("softmax", [[1000.0, 0.0]], [1.0]),
        ("margin", [[0.1, 0.7, 0.2], [0.5, 0.5, 0.0]], [0.5, 0.0]),
        ("softmax_margin", [[0.0, np.log(3)]], [0.5]),
        ("binary", [[0.2], [0.9]], [0.8, 0.9]),
    ],
)
def test_confidence_by_name(score: str, output: list[list[float]], wanted: list[float]) -> None:
    assert np.allclose(confidence(score, np.array(output, np.float32)), wanted)


GOOD = {"members": ["a", "b"], "at_least": [0.9], "output": "y", "score": "softmax"}


def test_a_cascade_is_read_from_its_parameter() -> None:
    found = cascade.read_cascade({"cascade": json.dumps(GOOD)})
    assert found == cascade.Cascade(("a", "b"), (0.9,), "y", "softmax")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {**GOOD, "members": ["a"]},
        {**GOOD, "at_least": []},
        {**GOOD, "at_least": ["high"]},
        {**GOOD, "score": "feeling"},
        [],
    ],
)
def test_what_is_no_cascade_is_refused(wrong: Any) -> None:
    with pytest.raises(SettingError, match="parameter cascade"):
        cascade.read_cascade({"cascade": json.dumps(wrong)})

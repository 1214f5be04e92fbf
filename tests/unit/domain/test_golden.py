"""Golden examples: what is one, and what is near enough."""

from __future__ import annotations

import math
from typing import Any

import pytest

from control_plane.domain.registry.golden import (
    MAX_EXAMPLES,
    difference,
    first_difference,
    parse_golden,
)
from control_plane.domain.signature import Signature, Tensor
from control_plane.domain.violations import InvalidInputError

XY = Signature((Tensor("x", "FP32", (-1, 2)),), (Tensor("y", "FP32", (-1, 2)),))
ODD = Signature(
    (Tensor("text", "BYTES", (1,)), Tensor("flag", "BOOL", (1,)), Tensor("n", "UINT8", ())),
    (Tensor("label", "BYTES", (1,)),),
)
GOOD = {"inputs": {"x": [[1, 2]]}, "outputs": {"y": [[10, 250.0]]}}


def pointers(document: Any, signature: Signature = XY, **more: Any) -> set[str]:
    with pytest.raises(InvalidInputError) as refusal:
        parse_golden(document, signature, **more)
    return {violation.pointer for violation in refusal.value.violations}


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ("x", "/golden"),
        ([1], "/golden/0"),
        ([{"inputs": {}}], "/golden/0"),
        ([{**GOOD, "colour": 1}], "/golden/0/colour"),
        ([{**GOOD, "tolerance": -1}], "/golden/0/tolerance"),
        ([{**GOOD, "tolerance": True}], "/golden/0/tolerance"),
        ([{**GOOD, "inputs": {}}], "/golden/0/inputs"),
        ([{**GOOD, "inputs": []}], "/golden/0/inputs"),
        ([{**GOOD, "outputs": {}}], "/golden/0/outputs"),
        ([{**GOOD, "inputs": {"z": [[1, 2]]}}], "/golden/0/inputs/z"),
        ([{**GOOD, "inputs": {"x": [1, 2]}}], "/golden/0/inputs/x"),
        ([{**GOOD, "inputs": {"x": [[1, 2, 3]]}}], "/golden/0/inputs/x"),
        ([{**GOOD, "inputs": {"x": [[1, 2], [3]]}}], "/golden/0/inputs/x"),
        ([{**GOOD, "inputs": {"x": []}}], "/golden/0/inputs/x"),
        ([{**GOOD, "inputs": {"x": [["1", 2]]}}], "/golden/0/inputs/x"),
        ([{**GOOD, "outputs": {"y": [[None, 2]]}}], "/golden/0/outputs/y"),
        ([GOOD] * (MAX_EXAMPLES + 1), "/golden"),
    ],
)
def test_what_is_none_is_told_where(document: Any, pointer: str) -> None:
    assert pointer in pointers(document)


def test_a_batch_beyond_the_profile_is_none() -> None:
    three = {"inputs": {"x": [[1, 2]] * 3}, "outputs": {"y": [[1, 2]] * 3}}
    assert len(parse_golden([three], XY, max_rows=3)) == 1
    assert pointers([three], max_rows=2) == {"/golden/0/inputs"}


def test_texts_truths_and_small_integers() -> None:
    good = {"inputs": {"text": ["é"], "flag": [True], "n": 255}, "outputs": {"label": ["a"]}}
    [example] = parse_golden([good], ODD)
    assert example.inputs[2].shape == ()
    for name, value in (("text", [1]), ("flag", [1]), ("n", 256), ("n", 1.5), ("n", True)):
        bad = {**good, "inputs": {**good["inputs"], name: value}}
        assert pointers([bad], ODD) == {f"/golden/0/inputs/{name}"}
    assert difference(example, {"label": ((1,), ["a"])}) == ""
    assert "label[0] is 'b', and 'a' was expected" in difference(example, {"label": ((1,), ["b"])})


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ([10.0, 250.0], ""),
        ([10.0009, 250.02], ""),
        ([10.002, 250.0], "y[0, 0] is 10.002, and 10 was expected (tolerance 0.0001)"),
        ([10.0, 250.03], "y[0, 1] is 250.03, and 250 was expected (tolerance 0.0001)"),
        ([10.0, math.nan], "y[0, 1] is nan"),
        ([10.0, math.inf], "y[0, 1] is inf"),
        ([10.0], "y has the shape [1, 2]"),
    ],
)
def test_what_is_near_enough(values: list[float], word: str) -> None:
    [example] = parse_golden([GOOD], XY)
    said = difference(example, {"y": ((1, 2), values)})
    assert word in said if word else said == ""


def test_a_missing_output_and_the_number_of_the_example() -> None:
    examples = parse_golden([GOOD, GOOD], XY)
    answers = iter([{"y": ((1, 2), [10.0, 250.0])}, {}])
    said = first_difference(examples, lambda _: next(answers))
    assert said == "golden example 2 of 2: the output 'y' is missing in the answer"

"""Tensors as people write them on the form of an upload."""

from __future__ import annotations

import pytest
from django.http import QueryDict

from control_plane.console.tensor_rows import INPUT, OUTPUT, inputs_in, outputs_in
from control_plane.console.word_rows import Rows


def rows(names: tuple[str, ...], *lines: tuple[str, str, str]) -> Rows:
    return Rows.of(names, lines)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("-1, 3, 224", [-1, 3, 224]),
        ("[-1,10]", [-1, 10]),
        ("1 8", [1, 8]),
        ("1x28x28", [1, 28, 28]),
        ("", []),
        ("[]", []),
    ],
)
def test_a_shape_is_read_as_people_write_it(text: str, shape: list[int]) -> None:
    written = rows(INPUT, ("image", "fp32", text))
    assert inputs_in(written) == [{"name": "image", "datatype": "FP32", "shape": shape}]
    assert not written.wrong


@pytest.mark.parametrize("text", ["wide", "1.5", "1, -, 3", "9" * 19, "1;2", "²"])
def test_what_is_no_shape_is_refused_at_its_row(text: str) -> None:
    written = rows(OUTPUT, ("a", "FP32", "-1"), ("b", "FP32", text))
    assert [tensor["name"] for tensor in outputs_in(written)] == ["a"]
    assert [bool(row.errors) for row in written.rows] == [False, True]


def test_each_row_knows_where_it_stands_in_the_signature() -> None:
    written = Rows.sent(
        QueryDict(
            "input.name=a&input.name=&input.name=b&input.datatype=FP32&input.datatype="
            "&input.datatype=INT8&input.shape=1&input.shape=&input.shape=2"
        ),
        INPUT,
    )
    inputs_in(written)
    assert [row.pointer for row in written.rows] == ["/signature/inputs/0", "/signature/inputs/1"]

from typing import Any

import pytest

from control_plane.domain.stored_json import (
    MAX_DEPTH,
    check_provenance,
    check_storable,
    check_tags,
    check_text,
)
from control_plane.domain.violations import InvalidInputError


def pointers(caught: pytest.ExceptionInfo[InvalidInputError]) -> list[str]:
    return [violation.pointer for violation in caught.value.violations]


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"a": ["x", "\0"]}, "/a/1"),
        ({"a": {"b/c": "\ud800"}}, "/a/b~1c"),
        ({"a": {"\0": 1}}, "/a"),
        ({"a": float("nan")}, "/a"),
        ({"a": float("-inf")}, "/a"),
        ({"a": 10**400}, "/a"),
        ("\0", ""),
    ],
)
def test_what_the_database_cannot_hold(document: Any, pointer: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_storable(document)
    assert pointers(caught) == [pointer]


def test_what_it_can_hold() -> None:
    check_storable({"a": [1, 2.5, None, True, "ü 数 🐚\n", {"": []}], "b": 2**63})


def test_a_document_has_a_depth() -> None:
    document: Any = "leaf"
    for _ in range(MAX_DEPTH):
        document = [document]
    check_storable(document)
    for _ in range(100_000):
        document = [document]
    with pytest.raises(InvalidInputError, match="levels deep"):
        check_storable(document)
    while isinstance(document, list):  # unwound by hand: so deep a list is dropped by recursion
        document = document[0]


def test_a_page_of_faults_is_enough() -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_storable(["\0"] * 1000)
    assert len(pointers(caught)) == 20


def test_lengths() -> None:
    check_text("x" * 10_000, "/reason")
    with pytest.raises(InvalidInputError, match="/reason"):
        check_text("x" * 10_001, "/reason")
    check_tags({f"k{i}": "v" for i in range(64)})
    with pytest.raises(InvalidInputError, match="65 tags"):
        check_tags({f"k{i}": "v" for i in range(65)})
    with pytest.raises(InvalidInputError, match="/tags/k"):
        check_tags({"k": "v" * 201})
    with pytest.raises(InvalidInputError, match="at most 65536"):
        check_provenance({"log": "x" * 70_000})

"""What may be an alias, and what becomes of one in a policy."""

from __future__ import annotations

import pytest

from control_plane.domain.registry.aliases import alias_in, check_alias
from control_plane.domain.routing.aliases import named_aliases, with_numbers
from control_plane.domain.violations import InvalidInputError


@pytest.mark.parametrize("alias", ["champion", "Champion", "a", "1", "v", "v1a", "x" * 255, "-_-"])
def test_names_that_an_alias_may_have(alias: str) -> None:
    check_alias(alias)


@pytest.mark.parametrize(
    ("alias", "code"),
    [
        ("latest", "reserved"),
        ("LATEST", "reserved"),
        ("v1", "reserved"),
        ("V007", "reserved"),
        ("", "invalid_name"),
        ("x" * 256, "invalid_name"),
        ("a b", "invalid_name"),
        ("a/b", "invalid_name"),
        ("champion\n", "invalid_name"),
        ("schön", "invalid_name"),
        ("@champion", "invalid_name"),
    ],
)
def test_and_may_not(alias: str, code: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        check_alias(alias)
    assert [(v.pointer, v.code) for v in refusal.value.violations] == [("/alias", code)]


def test_a_version_is_named_by_number_or_alias() -> None:
    assert [alias_in(r) for r in ("@champion", "champion", "3", 3, None)] == [
        "champion",
        None,
        None,
        None,
        None,
    ]


ARMS = [
    {"model": "digits", "version": "@champion", "weight": 90},
    {"model": "digits", "version": 4, "weight": 5},
    {"model": "other", "version": "@champion", "weight": 5},
]


def test_numbers_take_the_place_of_aliases() -> None:
    document = {"arms": ARMS, "mode": "weighted"}
    wanted = {("digits", "champion"), ("other", "champion")}
    assert named_aliases(document) == wanted
    numbers = {("digits", "champion"): 3, ("other", "champion"): 7}
    resolved, missing = with_numbers(document, numbers)
    assert missing == []
    assert isinstance(resolved, dict)
    assert [arm["version"] for arm in resolved["arms"]] == [3, 4, 7]
    assert resolved["mode"] == "weighted"
    assert ARMS[0]["version"] == "@champion"  # what came in is left alone


def test_an_alias_that_is_not_there_is_told_at_its_place() -> None:
    document, missing = with_numbers({"arms": ARMS}, {("digits", "champion"): 3})
    assert isinstance(document, dict)
    assert document["arms"][2] == ARMS[2]
    assert [(v.pointer, v.code) for v in missing] == [("/arms/2/version", "not_found")]


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "arms",
        {},
        {"arms": None},
        {"arms": {"version": "@a"}},
        {"arms": ["@a", None]},
        {"arms": [{"model": 7, "version": "@a"}]},
        {"arms": [{"version": "@a"}]},
        {"arms": [{"model": "m", "version": "@a"}] * 65},
    ],
)
def test_what_is_no_policy_is_left_to_its_reader(document: object) -> None:
    assert named_aliases(document) == set()
    assert with_numbers(document, {}) == (document, [])

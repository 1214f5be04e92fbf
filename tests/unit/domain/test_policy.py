from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.routing.document import parse_policy, to_document
from control_plane.domain.routing.policy import MAX_ARMS, SLOTS
from control_plane.domain.violations import InvalidInputError


def arm(version: int, weight: Any, **more: Any) -> dict[str, Any]:
    return {"model": "digits", "version": version, "weight": weight, **more}


def broken(document: object) -> dict[str, str]:
    """The violations as pointer -> code."""
    with pytest.raises(InvalidInputError) as caught:
        parse_policy(document)
    return {v.pointer: v.code for v in caught.value.violations}


def test_one_arm_is_the_primary_without_saying_so() -> None:
    policy = parse_policy({"arms": [arm(1, 100)]})
    assert policy.primary.weight == SLOTS
    assert policy.primary.name == "digits-v1"


def test_weights_are_exact_parts_of_ten_thousand() -> None:
    policy = parse_policy({"arms": [arm(1, 99.99, primary=True), arm(2, 0.01)]})
    assert [a.weight for a in policy.arms] == [9999, 1]


@given(st.lists(st.integers(0, SLOTS), min_size=1, max_size=8))
def test_every_exact_split_survives_the_round_trip(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), SLOTS]
    weights = [b - a for a, b in pairwise(edges)]
    document = {
        "arms": [arm(i + 1, w / 100, primary=i == 0) for i, w in enumerate(weights)],
    }
    policy = parse_policy(document)
    assert [a.weight for a in policy.arms] == weights
    assert parse_policy(to_document(policy)) == policy


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([], {"": "type"}),
        ({}, {"/arms": "required"}),
        ({"arms": []}, {"/arms": "required"}),
        ({"arms": [7]}, {"/arms/0": "type"}),
        ({"arms": [arm(1, 99)]}, {"/arms": "weights"}),
        ({"arms": [arm(1, 50), arm(2, 50)]}, {"/arms": "primary"}),
        ({"arms": [arm(1, 50, primary=True), arm(2, 50, primary=True)]}, {"/arms": "primary"}),
        ({"arms": [arm(0, 100)]}, {"/arms/0/version": "invalid"}),
        ({"arms": [arm(True, 100)]}, {"/arms/0/version": "invalid"}),
        ({"arms": [arm(1, -1)]}, {"/arms/0/weight": "range"}),
        ({"arms": [arm(1, "NaN")]}, {"/arms/0/weight": "invalid"}),
        ({"arms": [arm(1, float("nan"))]}, {"/arms/0/weight": "range"}),
        ({"arms": [arm(1, float("inf"))]}, {"/arms/0/weight": "range"}),
        ({"arms": [arm(1, 10**400)]}, {"/arms/0/weight": "range"}),
        ({"arms": [arm(1, "1e999999")]}, {"/arms/0/weight": "invalid"}),
        ({"arms": [arm(1, "1_0_0")]}, {"/arms/0/weight": "invalid"}),
        ({"arms": [arm(1, "١٠٠")]}, {"/arms/0/weight": "invalid"}),  # noqa: RUF001
        ({"arms": [arm(1, " 100 ")]}, {"/arms/0/weight": "invalid"}),
        ({"arms": [arm(10**9, 100)]}, {"/arms/0/version": "invalid"}),
        ({"arms": [arm(1, "ten")]}, {"/arms/0/weight": "invalid"}),
        ({"arms": [arm(1, 33.333)]}, {"/arms/0/weight": "precision"}),
        ({"arms": [{**arm(1, 100), "model": "../x"}]}, {"/arms/0/model": "invalid_name"}),
        ({"arms": [arm(1, 100, colour="red")]}, {"/arms/0/colour": "unknown"}),
        ({"arms": [arm(1, 100)], "mode": "adaptive"}, {"/objective": "required"}),
    ],
)
def test_what_is_wrong_is_named(document: object, expected: dict[str, str]) -> None:
    assert expected.items() <= broken(document).items()


def test_duplicates_and_too_many_arms() -> None:
    assert broken({"arms": [arm(1, 50, primary=True), arm(1, 50, name="b")]}) == {
        "/arms/1": "duplicate"
    }
    many = [arm(i + 1, 100 if i == 0 else 0, primary=i == 0) for i in range(MAX_ARMS + 1)]
    assert broken({"arms": many}) == {"/arms": "too_many"}


def test_far_too_many_arms_are_one_violation() -> None:
    assert broken({"arms": [{}] * 100_000}) == {"/arms": "too_many"}
    fields = {f"field-{i}": i for i in range(100_000)}
    assert len(broken({"arms": [arm(1, 100)], **fields})) == 20


def test_a_percent_may_come_as_text() -> None:
    policy = parse_policy({"arms": [arm(1, "99.99", primary=True), arm(2, "0.01")]})
    assert [a.weight for a in policy.arms] == [9999, 1]


def test_long_model_names_leave_arms_a_name() -> None:
    models = ["x" * 62 + "a", "x" * 62 + "b", "x" * 52 + "_-" + "x" * 9]
    raw = [{"model": m, "version": 12, "weight": 0, "primary": False} for m in models]
    raw[0] |= {"weight": 100, "primary": True}
    names = [a.name for a in parse_policy({"arms": raw}).arms]
    assert [a.name for a in parse_policy({"arms": raw}).arms] == names
    assert len(set(names)) == 3
    assert all(len(name) == 63 and name.endswith("-v12") for name in names)


def test_all_broken_rules_are_told_at_once() -> None:
    found = broken({"arms": [arm(0, 200)], "colour": "red"})
    assert set(found) == {"/colour", "/arms/0/version", "/arms/0/weight"}

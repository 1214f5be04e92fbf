from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from nereid.policy import PolicySyntaxError, parse_arm, parse_arms, policy_document
from tests.support.policies import documents


@pytest.mark.parametrize(
    ("text", "model", "version", "weight", "name"),
    [
        ("digits:1=90", "digits", 1, Decimal(90), None),
        ("digits:v2=0.5", "digits", 2, Decimal("0.5"), None),
        ("a-b_c:12=33.33%", "a-b_c", 12, Decimal("33.33"), None),
        ("stable@digits:1=100", "digits", 1, Decimal(100), "stable"),
        ("digits:3", "digits", 3, None, None),
    ],
)
def test_reads_an_arm(
    text: str, model: str, version: int, weight: Decimal | None, name: str | None
) -> None:
    arm = parse_arm(text)
    assert (arm.model, arm.version, arm.weight, arm.name) == (model, version, weight, name)


@pytest.mark.parametrize(
    "text",
    [
        *("", "digits", "digits:", ":1=9", "digits:x", "digits:1=", "digits:1=-5"),
        *("digits:1=1.234", "digits:1=1e2", "digits:1=5 ", "a@b@digits:1"),
        *("Digits:1=5", "../x:1=5", "digits.v1:1=5"),
    ],
)
def test_refuses_what_it_cannot_read_and_shows_the_right_form(text: str) -> None:
    with pytest.raises(PolicySyntaxError, match="digits:2=10") as raised:
        parse_arm(text)
    assert repr(text) in str(raised.value)


def test_the_arm_without_a_weight_takes_the_rest() -> None:
    arms = parse_arms(["digits:1", "digits:2=0.01"])
    assert [arm.weight for arm in arms] == [Decimal("99.99"), Decimal("0.01")]


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ([], "at least one"),
        (["digits:1", "digits:2"], "only one arm"),
        (["digits:1=50", "digits:1=50"], "named twice"),
        (["digits:1", "digits:2=60", "digits:3=60"], "nothing is left"),
    ],
)
def test_refuses_arms_that_make_no_sense_together(texts: list[str], reason: str) -> None:
    with pytest.raises(PolicySyntaxError, match=reason):
        parse_arms(texts)


def test_makes_a_policy_with_the_largest_arm_as_primary() -> None:
    assert policy_document(["digits:1=10", "digits:2=89.5", "digits:3=0.5"]) == {
        "arms": [
            arm("digits-v1", 1, 10, primary=False),
            arm("digits-v2", 2, 89.5, primary=True),
            arm("digits-v3", 3, 0.5, primary=False),
        ]
    }


@pytest.mark.parametrize("chosen", ["digits:2", "digits:v2", "digits-v2"])
def test_the_primary_can_be_named(chosen: str) -> None:
    policy = policy_document(["digits:1=90", "digits:2=10"], primary=chosen)
    assert [a["primary"] for a in policy["arms"]] == [False, True]


def test_a_primary_that_is_no_arm_is_refused() -> None:
    with pytest.raises(PolicySyntaxError, match="digits:9 is none of the arms"):
        policy_document(["digits:1=100"], primary="digits:9")


def test_weights_that_do_not_add_up_are_the_servers_to_refuse() -> None:
    policy = policy_document(["digits:1=90", "digits:2=20"])
    assert sum(a["weight"] for a in policy["arms"]) == 110


def test_a_change_of_arms_keeps_the_rest_of_the_policy() -> None:
    current = {
        "arms": [{**arm("stable", 1, 100, primary=True), "timeout": "500ms"}],
        "sticky": {"key": "header:x-user-id"},
    }
    assert policy_document(["digits:1=20", "digits:2=80"], current=current) == {
        "sticky": {"key": "header:x-user-id"},
        "arms": [
            {**arm("stable", 1, 20, primary=True), "timeout": "500ms"},
            arm("digits-v2", 2, 80, primary=False),
        ],
    }


def test_another_version_under_an_arms_name_keeps_its_limits_but_not_its_figures() -> None:
    stable = {**arm("stable", 1, 100, primary=True), "timeout": "500ms", "max_in_flight": 8}
    current = {"arms": [{**stable, "accuracy": 0.9, "cost": 2.0}]}
    assert policy_document(["stable@digits:3=100"], current=current)["arms"] == [
        {**stable, "version": 3}
    ]


@given(documents(arms=3))
def test_weights_are_all_that_a_change_of_weights_changes(current: dict[str, Any]) -> None:
    arms = current["arms"]
    texts = [f"digits:{arm['version']}={100 if arm['primary'] else 0}" for arm in arms]
    changed = policy_document(texts, current=current)
    expected = [{**arm, "weight": 100 if arm["primary"] else 0} for arm in arms]
    assert changed == {**current, "arms": expected}


def test_the_primary_goes_with_its_arm_or_as_asked() -> None:
    current = {"arms": [arm("stable", 1, 100, primary=True)]}
    assert policy_document(["digits:2=100"], current=current)["arms"] == [
        arm("digits-v2", 2, 100, primary=True)
    ]
    asked = policy_document(["digits:1=90", "digits:2=10"], primary="digits:2", current=current)
    assert [a["primary"] for a in asked["arms"]] == [False, True]


def arm(name: str, version: int, weight: float, *, primary: bool) -> dict[str, object]:
    return {
        "name": name,
        "model": "digits",
        "version": version,
        "weight": weight,
        "primary": primary,
    }

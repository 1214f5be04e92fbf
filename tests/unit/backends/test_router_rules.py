"""Rules: the first whose conditions all hold, headers without case."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.models import policy_text
from tests.support.routing import NativeRouter

ARMS = {"m.v1.abcdef": 10_000, "m.v2.abcdef": 0, "m.v3.abcdef": 0}


def ruled(*lines: str) -> NativeRouter:
    return NativeRouter(policy_text("m", ARMS) + "".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize(
    ("rule", "parameters", "met"),
    [
        ("header x-tenant-id equals acme", {"x-tenant-id": "acme"}, True),
        ("header x-tenant-id equals acme", {"X-Tenant-ID": "acme"}, True),
        ("header x-tenant-id equals acme", {"x-tenant-id": "ACME"}, False),
        ("header x-tenant-id equals acme", {"x-tenant-id": "acme2"}, False),
        ("header x-tenant-id equals acme", {"x-tenant": "acme"}, False),
        ("header x-tenant-id equals acme", {}, False),
        ('header x-tenant-id equals ""', {"x-tenant-id": ""}, True),
        ('header x-tenant-id equals ""', {}, False),
        ("header x-tenant-id in a b c", {"x-tenant-id": "c"}, True),
        ("header x-tenant-id in a b c", {"x-tenant-id": "d"}, False),
        ("header x-tenant-id prefix eu-", {"x-tenant-id": "eu-west"}, True),
        ("header x-tenant-id prefix eu-", {"x-tenant-id": "eu"}, False),
        ("header x-tenant-id prefix eu-", {"x-tenant-id": "us-eu-"}, False),
        ('header x-tenant-id prefix ""', {"x-tenant-id": "any"}, True),
        ('header x-tenant-id prefix ""', {}, False),
        ("parameter tester equals true", {"tester": "true"}, True),
        ("parameter tester equals true", {"Tester": "true"}, False),
        ("parameter n equals -5", {"n": "-5"}, True),
    ],
)
def test_a_condition(rule: str, parameters: dict[str, str], met: bool) -> None:
    assert ruled(f"rule 1 {rule}").decide(parameters).arm == (1 if met else 0)


def test_the_first_rule_that_holds_decides() -> None:
    router = ruled(
        "rule 1 header x-tenant-id equals acme",
        "and parameter region prefix eu",
        "rule 2 header x-tenant-id equals acme",
        "rule 1 parameter region equals us",
    )
    assert router.decide({"x-tenant-id": "acme", "region": "eu1"}).arm == 1
    assert router.decide({"x-tenant-id": "acme", "region": "us"}).arm == 2
    assert router.decide({"x-tenant-id": "acme"}).arm == 2
    assert router.decide({"region": "us"}).arm == 1
    assert router.decide({"region": "eu1"}).arm == 0


def test_a_rule_goes_before_the_key() -> None:
    arms = {"m.v1.abcdef": 0, "m.v2.abcdef": 10_000, "m.v3.abcdef": 0}
    text = policy_text("m", arms) + "sticky header x-user-id salt m\n"
    router = NativeRouter(f"{text}rule 2 header x-user-id equals me\n")
    assert router.decide({"x-user-id": "you"}).arm == 1
    assert router.decide({"x-user-id": "me"}).arm == 2


@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_any_value_is_compared_byte_by_byte(wanted: str, sent: str) -> None:
    router = ruled(
        f"rule 1 parameter p equals {quote(wanted, safe='')}",
        f"rule 2 parameter p prefix {quote(wanted, safe='')}",
    )
    expected = 1 if sent == wanted else 2 if sent.startswith(wanted) else 0
    assert router.decide({"p": sent}).arm == expected
    assert router.decide({"p": wanted + sent}).arm == (2 if sent else 1)

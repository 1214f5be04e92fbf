"""policy.txt as the native router reads it: what it takes, and how it refuses the rest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.models import policy_text
from tests.support.routing import NativeRouter, PolicyRefusedError

GOOD = """nereid-traffic 1
endpoint digits
generation 6
arm digits.v1.9f2c1a primary
arm digits.v2.ab12cd
slots 0:9000 1:1000
"""


def test_the_agreed_example_is_read() -> None:
    router = NativeRouter(GOOD)
    assert router.arms == ["digits.v1.9f2c1a", "digits.v2.ab12cd"]
    assert router.primary == "digits.v1.9f2c1a"
    assert router.generation == 6


def test_an_arm_may_have_no_slot_and_several_runs() -> None:
    text = GOOD.replace("slots 0:9000 1:1000", "slots 1:1 0:4999 1:5000")
    assert NativeRouter(text).pick(10_000).count(0) == 4999
    text = GOOD.replace("slots 0:9000 1:1000", "slots 0:10000")
    assert NativeRouter(text).pick(10_000).count(0) == 10_000


def replaced(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "first line"),
        (replaced("nereid-traffic 1", "nereid-traffic 2"), 1, "first line"),
        (GOOD.replace("\n", "\r\n"), 1, "first line"),
        (replaced("endpoint digits\n", ""), 5, "'endpoint' is missing"),
        (replaced("endpoint digits", "endpoint"), 2, "takes one name"),
        (replaced("endpoint digits", "endpoint ../etc"), 2, "no endpoint name"),
        (replaced("endpoint digits", "endpoint Digits"), 2, "no endpoint name"),
        (replaced("endpoint digits", "endpoint digits\nendpoint digits"), 3, "twice"),
        (replaced("endpoint digits", "endpoint  digits"), 2, "one space"),
        (replaced("generation 6", "generation -6"), 3, "no generation number"),
        (replaced("generation 6", "generation 99999999999999999999"), 3, "no generation number"),
        (replaced("generation 6\n", ""), 5, "'generation' is missing"),
        (replaced("generation 6", "generation 6\n\n"), 4, "no line may be empty"),
        (replaced("generation 6", "sticky header:x-user-id"), 3, "unknown keyword 'sticky'"),
        (replaced("9f2c1a primary", "9f2c1a first"), 4, "unknown word 'first'"),
        (replaced("9f2c1a primary", "9f2c1a"), 6, "no arm is marked primary"),
        (replaced("arm digits.v2.ab12cd", "arm digits.v2.ab12cd primary"), 5, "second arm"),
        (replaced("arm digits.v2.ab12cd", "arm digits.v1.9f2c1a"), 5, "stands twice"),
        (replaced("arm digits.v2.ab12cd", "arm digits/v2"), 5, "no model name"),
        (replaced("arm digits.v2.ab12cd", "arm digits"), 6, "the endpoint itself"),
        (replaced("slots 0:9000 1:1000", "slots 0:9000 1:999"), 6, "add up to 9999"),
        (replaced("slots 0:9000 1:1000", "slots 0:9000 1:1001"), 6, "more than 10000"),
        (replaced("slots 0:9000 1:1000", "slots 0:9000 2:1000"), 6, "an arm that is not there"),
        (replaced("slots 0:9000 1:1000", "slots 0:9000 1:-1"), 6, "no run of slots"),
        (replaced("slots 0:9000 1:1000", "slots 0=9000"), 6, "no run of slots"),
        (replaced("slots 0:9000 1:1000", "slots 0:18446744073709551617"), 6, "no run of slots"),
        (replaced("slots 0:9000 1:1000\n", ""), 5, "'slots' is missing"),
        (GOOD + "arm late\n", 7, "after 'slots'"),
        (GOOD + "slots 0:10000\n", 7, "'slots' stands twice"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line_and_reason(
    text: str, line: int, reason: str
) -> None:
    with pytest.raises(PolicyRefusedError) as refused:
        NativeRouter(text)
    assert refused.value.line == line
    assert reason in refused.value.reason


def test_sixty_four_arms_are_taken_and_no_more() -> None:
    arms = {f"m.v{number}.abcdef": 0 for number in range(64)}
    arms["m.v0.abcdef"] = 10_000
    assert len(NativeRouter(policy_text("m", arms)).arms) == 64
    with pytest.raises(PolicyRefusedError, match="more than 64 arms"):
        NativeRouter(policy_text("m", arms | {"m.v64.abcdef": 0}))


@given(st.binary(max_size=300))
def test_no_bytes_crash_it(raw: bytes) -> None:
    with pytest.raises(PolicyRefusedError) as refused:
        NativeRouter(raw)
    assert refused.value.line >= 1
    assert refused.value.reason


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_policy_is_refused_or_still_makes_sense(data: st.DataObject) -> None:
    raw = bytearray(GOOD.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        if not raw:
            raw = bytearray(b"\n")
    router, refused_at = None, 0
    try:
        router = NativeRouter(bytes(raw))
    except PolicyRefusedError as refused:
        refused_at = refused.line
    if router is None:
        assert 1 <= refused_at <= bytes(raw).count(b"\n") + 1
        return
    assert router.primary in router.arms
    assert set(router.pick(10_000)) <= set(range(len(router.arms)))

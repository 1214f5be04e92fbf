"""policy.txt as the native router reads it: what it takes, and how it refuses the rest."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from urllib.parse import quote

import pytest
import xxhash
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
        (replaced("endpoint digits", "endpoint"), 2, "'endpoint' lacks a name"),
        (replaced("endpoint digits", "endpoint digits two"), 2, "unknown word 'two'"),
        (replaced("endpoint digits", "endpoint ../etc"), 2, "no endpoint name"),
        (replaced("endpoint digits", "endpoint Digits"), 2, "no endpoint name"),
        (replaced("endpoint digits", "endpoint digits\nendpoint digits"), 3, "twice"),
        (replaced("endpoint digits", "endpoint  digits"), 2, "one space"),
        (replaced("generation 6", "generation -6"), 3, "no generation number"),
        (replaced("generation 6", "generation 99999999999999999999"), 3, "no generation number"),
        (replaced("generation 6\n", ""), 5, "'generation' is missing"),
        (replaced("generation 6", "generation 6\n\n"), 4, "no line may be empty"),
        (replaced("generation 6", "weights 6"), 3, "unknown keyword 'weights'"),
        (replaced("generation 6", "sticky sequence salt a"), 3, "before any 'arm'"),
        (replaced("endpoint digits\ngeneration 6", "generation 6\nendpoint digits"), 3, "after"),
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


FULL = """nereid-traffic 1
endpoint digits
generation 6
arm digits.v1.9f2c1a primary cost 2 capacity 8 max_in_flight 64 overflow 1
arm digits.v2.ab12cd cost 0.25 accuracy 0.98 max_in_flight 4 overflow reject timeout_us 500000
arm digits.v3.cd34ef
allowance 1 grant 0a1b attempts 100 failures - until_ms 1790000000000
allowance 2 grant g2 attempts - failures 0 until_ms -
slots 0:9000 1:1000
sticky header x-user-id salt d%C3%ADgits
rule 1 header x-tenant-id in acme b%20c ""
and parameter Region prefix eu-
rule 2 parameter tester equals true
shadow 1 parts 2000 max_in_flight 8 compare log%2Fits
shadow 2 parts 1 max_in_flight 1
confidence prob%20s scores logits
breaker consecutive 5 rate 5000 min_requests 20 window_us 10000000 open_us 30000000 \
max_open_us 300000000 latency_us 250000
slow_start window_us 30000000 aggression 1.5
rescue budget 2000 floor 3
objective alpha 1 beta 0.5 gamma 0.125 delta 0 explore 200
sequences cut idle_us 5000000
"""


def test_every_keyword_is_read() -> None:
    policy = NativeRouter(FULL).policy
    first, second, third = policy["arms"]
    assert first == {
        "model": "digits.v1.9f2c1a",
        "cost": 2,
        "accuracy": -1,
        "capacity": 8,
        "max_in_flight": 64,
        "overflow": 1,
        "timeout_us": 0,
    }
    assert (second["cost"], second["accuracy"], second["timeout_us"]) == (0.25, 0.98, 500_000)
    assert (second["max_in_flight"], second["overflow"]) == (4, -1)
    assert (third["overflow"], third["capacity"], third["max_in_flight"]) == (0, 1, 0)
    assert second["allowance"] == {
        "grant": "0a1b",
        "attempts": 100,
        "failures": -1,
        "until_unix_ms": 1_790_000_000_000,
    }
    assert (third["allowance"]["attempts"], third["allowance"]["failures"]) == (-1, 0)
    assert policy["slots"] == [0] * 9000 + [1] * 1000
    assert policy["sticky"] == {
        "key": 1,
        "name": "x-user-id",
        "salt": "dígits",
        "seed": xxhash.xxh64_intdigest("dígits".encode()),
    }
    assert policy["rules"] == [
        {
            "arm": 1,
            "conditions": [
                {"source": 0, "name": "x-tenant-id", "test": 1, "values": ["acme", "b c", ""]},
                {"source": 1, "name": "Region", "test": 2, "values": ["eu-"]},
            ],
        },
        {
            "arm": 2,
            "conditions": [{"source": 1, "name": "tester", "test": 0, "values": ["true"]}],
        },
    ]
    assert policy["shadows"] == [
        {"arm": 1, "parts": 2000, "max_in_flight": 8, "compare": "log/its"},
        {"arm": 2, "parts": 1, "max_in_flight": 1, "compare": ""},
    ]
    assert policy["confidence"] == {"output": "prob s", "scores": 1}


def test_every_guard_is_read() -> None:
    policy = NativeRouter(FULL).policy
    assert policy["breaker"] == {
        "consecutive": 5,
        "rate_parts": 5000,
        "min_requests": 20,
        "window_ns": 10_000_000_000,
        "open_ns": 30_000_000_000,
        "max_open_ns": 300_000_000_000,
        "latency_ns": 250_000_000,
    }
    assert policy["slow_start"] == {"window_ns": 30_000_000_000, "aggression": 1.5}
    assert policy["rescue"] == {"budget_parts": 2000, "floor": 3}
    weights = {"alpha": 1, "beta": 0.5, "gamma": 0.125, "delta": 0}
    assert policy["objective"] == {**weights, "explore_parts": 200}
    assert policy["sequences"] == {"cut": 1, "idle_ns": 5_000_000_000}


def test_what_is_absent_is_off() -> None:
    policy = NativeRouter(GOOD).policy
    assert {"breaker", "slow_start", "rescue", "objective", "confidence"}.isdisjoint(policy)
    assert (policy["rules"], policy["shadows"], policy["sticky"]["key"]) == ([], [], 0)
    assert policy["sequences"] == {"cut": 0, "idle_ns": 60_000_000_000}
    assert [arm["overflow"] for arm in policy["arms"]] == [-1, 0]


def line_of(start: str) -> str:
    return next(line for line in FULL.splitlines() if line.startswith(start))


@pytest.mark.parametrize(
    ("start", "wrong", "reason"),
    [
        ("arm digits.v3", "arm digits.v3.cd34ef cost", "lacks cost"),
        ("arm digits.v3", "arm digits.v3.cd34ef cost -1", "no cost such as"),
        ("arm digits.v3", "arm digits.v3.cd34ef cost 1e3", "no cost such as"),
        ("arm digits.v3", "arm digits.v3.cd34ef cost .5", "no cost such as"),
        ("arm digits.v3", "arm digits.v3.cd34ef cost 1.", "no cost such as"),
        ("arm digits.v3", "arm digits.v3.cd34ef cost 1000000000.1", "no cost such as"),
        ("arm digits.v3", "arm digits.v3.cd34ef cost nan", "no cost such as"),
        ("arm digits.v3", "arm digits.v3.cd34ef accuracy 1.01", "accuracy is at most 1"),
        ("arm digits.v3", "arm digits.v3.cd34ef accuracy 1 cost 1", "unknown word 'cost'"),
        ("arm digits.v3", "arm digits.v3.cd34ef cost 1 cost 1", "unknown word 'cost'"),
        ("arm digits.v3", "arm digits.v3.cd34ef capacity 0", "no capacity from 1"),
        ("arm digits.v3", "arm digits.v3.cd34ef max_in_flight 0", "no limit from 1"),
        ("arm digits.v3", "arm digits.v3.cd34ef max_in_flight 4294967297", "no limit from 1"),
        ("arm digits.v3", "arm digits.v3.cd34ef overflow refuse", "no arm index"),
        ("arm digits.v3", "arm digits.v3.cd34ef overflow 3", "another arm"),
        ("arm digits.v3", "arm digits.v3.cd34ef overflow 2", "another arm"),
        ("arm digits.v3", "arm digits.v3.cd34ef timeout_us 0", "no timeout from 1"),
        ("allowance 1", "allowance 0 grant g attempts 1 failures - until_ms -", "the primary"),
        ("allowance 1", "allowance 3 grant g attempts 1 failures - until_ms -", "no arm index"),
        ("allowance 1", "allowance 2 grant g attempts 1 failures - until_ms -", None),
        ("allowance 1", "allowance 1 grant g/1 attempts 1 failures - until_ms -", "encoded grant"),
        ("allowance 1", "allowance 1 grant g attempts x failures - until_ms -", "attempts"),
        ("allowance 1", "allowance 1 grant g attempts 1 until_ms -", "where 'failures' belongs"),
        ("allowance 1", "allowance 1 attempts 1 failures - until_ms -", "where 'grant' belongs"),
        ("sticky", "sticky cookie a salt b", "unknown word 'cookie'"),
        ("sticky", "sticky header X-User-Id salt b", "lower case"),
        ("sticky", 'sticky header "" salt b', "empty"),
        ("sticky", "sticky header x-user-id", "lacks 'salt'"),
        ("sticky", "sticky sequence x salt b", "unknown word 'x'"),
        ("sticky", "sticky parameter a salt b%2", "no percent-encoded salt"),
        ("sticky", "sticky parameter a salt b%zz", "no percent-encoded salt"),
        ("sticky", "sticky parameter a salt b/c", "no percent-encoded salt"),
        ("rule 1", "rule 3 header a equals b", "no arm index"),
        ("rule 1", "rule 1 header a like b", "unknown word 'like'"),
        ("rule 1", "rule 1 header a equals", "lacks value"),
        ("rule 1", "rule 1 header a equals b c", "unknown word 'c'"),
        ("rule 1", "rule 1 header a prefix b c", "unknown word 'c'"),
        ("rule 1", "rule 1 header a in", "lacks value"),
        ("rule 1", "rule 1 header A in b", "lower case"),
        ("rule 1", "rule 1 sequence equals b", "unknown word 'sequence'"),
        ("rule 1", "and header a in b", "before any 'rule'"),
        ("shadow 1", "shadow 1 parts 10001 max_in_flight 8", "no share"),
        ("shadow 1", "shadow 1 parts 1 max_in_flight 0", "no limit"),
        ("shadow 1", 'shadow 1 parts 1 max_in_flight 1 compare ""', "empty"),
        ("shadow 2", "shadow 1 parts 1 max_in_flight 1", "a second shadow"),
        ("confidence", 'confidence "" scores logits', "empty"),
        ("confidence", "confidence probs scores softmax", "where 'probabilities' belongs"),
        ("confidence", "confidence probs", "lacks 'scores'"),
        ("breaker", "breaker consecutive 5", "lacks 'rate'"),
        ("slow_start", "slow_start window_us 0 aggression 1", "no number of microseconds"),
        ("slow_start", "slow_start window_us 1 aggression 0", "above 0"),
        ("slow_start", "slow_start window_us 1 aggression 0.0", "above 0"),
        ("rescue", "rescue budget 10001 floor 3", "no budget"),
        ("rescue", "rescue budget 1 floor -3", "no floor from 0"),
        ("objective", "objective alpha 1 beta 1 gamma 1 explore 0", "where 'delta' belongs"),
        ("objective", "objective alpha 1 beta 1 gamma 1 delta 1 explore 0.5", "no share"),
        ("sequences", "sequences keep idle_us 5", "where 'finish' belongs"),
        ("sequences", "sequences cut idle_us 0", "no number of microseconds"),
        ("sequences", "sequences cut", "lacks 'idle_us'"),
    ],
)
def test_a_wrong_line_is_refused_by_its_number(start: str, wrong: str, reason: str | None) -> None:
    line = FULL.splitlines().index(line_of(start)) + 1
    if reason is None:  # right by itself, and then again on the line below
        line, reason = line + 1, "a second allowance"
    with pytest.raises(PolicyRefusedError) as refused:
        NativeRouter(FULL.replace(line_of(start), wrong))
    assert reason in refused.value.reason
    assert refused.value.line == line


@pytest.mark.parametrize(
    "keyword",
    [
        *("slots", "sticky", "confidence", "breaker", "slow_start", "rescue", "objective"),
        "sequences",
    ],
)
def test_a_line_that_stands_twice_is_refused(keyword: str) -> None:
    line = line_of(keyword)
    with pytest.raises(PolicyRefusedError, match=f"'{keyword}' stands twice"):
        NativeRouter(FULL.replace(line, f"{line}\n{line}"))


def test_lines_out_of_order_are_refused() -> None:
    lines = FULL.splitlines()
    for above, below in pairwise(range(1, len(lines))):
        if lines[above].split()[0] == lines[below].split()[0] or lines[below].startswith("and"):
            continue
        swapped = list(lines)
        swapped[above], swapped[below] = lines[below], lines[above]
        if lines[above].startswith("and"):
            continue  # it is then of the next rule
        with pytest.raises(PolicyRefusedError) as refused:
            NativeRouter("\n".join(swapped) + "\n")
        assert refused.value.line in (above + 1, below + 1)
        assert "stands" in refused.value.reason


@given(st.text(min_size=1, max_size=40), st.lists(st.text(max_size=40), min_size=1, max_size=4))
def test_any_text_comes_through_the_percent_encoding(salt: str, values: list[str]) -> None:
    words = " ".join(quote(value, safe="") or '""' for value in values)
    text = FULL.replace(line_of("sticky"), f"sticky parameter a salt {quote(salt, safe='')}")
    text = text.replace(line_of("rule 1"), f"rule 1 header a in {words}")
    policy = NativeRouter(text).policy
    assert policy["sticky"]["salt"] == salt
    assert policy["sticky"]["seed"] == xxhash.xxh64_intdigest(salt.encode())
    assert policy["rules"][0]["conditions"][0]["values"] == values


@given(st.decimals(min_value=0, max_value=10**9, allow_nan=False, allow_infinity=False))
def test_decimals_are_read_to_the_last_bit(value: Decimal) -> None:
    word = f"{value:f}"
    text = FULL.replace(line_of("arm digits.v3"), f"arm digits.v3.cd34ef cost {word}")
    if len(word) > 400:
        with pytest.raises(PolicyRefusedError, match="no cost"):
            NativeRouter(text)
    else:
        assert NativeRouter(text).policy["arms"][2]["cost"] == float(word)


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
    raw = bytearray(data.draw(st.sampled_from([GOOD, FULL])).encode())
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

"""policy.txt: what the control plane writes, word for word, and that the router takes it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from control_plane.domain.planning.compiling import compile_plan
from control_plane.domain.planning.plan import Plan
from control_plane.domain.routing.compact import (
    Served,
    compact_policy,
    decimal_word,
    text_word,
    with_spent_allowances,
)
from control_plane.domain.routing.document import parse_policy
from tests.support.plans import version
from tests.support.policies import documents
from tests.support.routing import NativeRouter

EVERYTHING: dict[str, Any] = {
    "arms": [
        {
            "name": "stable",
            "model": "digits",
            "version": 1,
            "weight": 90,
            "primary": True,
            "max_in_flight": 100,
            "overflow": "spare",
        },
        {
            "name": "candidate",
            "model": "digits",
            "version": 2,
            "weight": 10,
            "cost": 1.5,
            "accuracy": 0.98,
            "max_in_flight": 64,
            "overflow": None,
            "timeout": "500ms",
            "allowance": {"attempts": 5000, "until": "2026-11-24T13:00:00Z"},
        },
        {"name": "spare", "model": "digits", "version": 3, "weight": 0},
    ],
    "sticky": {"key": "header:X-User-Id", "salt": "a b"},
    "rules": [
        {
            "when": {"header:x-tenant-id": {"in": ["acme", ""]}, "parameter:r/1": {"prefix": "é"}},
            "arm": "candidate",
        },
        {"when": {"parameter:tester": {"equals": True}}, "arm": "candidate"},
    ],
    "shadow": [{"arm": "spare", "percent": 0.5, "compare": "logits"}],
    "breaker": {"latency": "250ms", "failure_rate": 0.0125},
    "slow_start": {"window": "30s", "aggression": 1.25},
    "rescue": {"budget_percent": 12.5, "floor": 0},
    "sequences": {"on_change": "cut", "idle": "90s"},
}


def compiled(document: dict[str, Any], generation: int = 6) -> Plan:
    policy = parse_policy(document)
    return compile_plan(
        endpoint="digits",
        generation=generation,
        policy=policy,
        versions={("digits", arm.version): version(arm.version) for arm in policy.arms},
    )


def router_text(plan: Plan) -> str:
    return plan.router.texts["1000000000/policy.txt"]


def test_every_line_of_a_policy_with_everything() -> None:
    plan = compiled(EVERYTHING)
    one, two, three = (planned.physical for planned in plan.arms)
    grant = plan.arms[1].grant
    assert router_text(plan).splitlines() == [
        "nereid-traffic 1",
        "endpoint digits",
        "generation 6",
        f"arm {one} primary max_in_flight 100 overflow 2",
        f"arm {two} cost 1.5 accuracy 0.98 max_in_flight 64 overflow reject timeout_us 500000",
        f"arm {three}",
        f"allowance 1 grant {grant} attempts 5000 failures - until_ms 1795525200000",
        "slots 0:9000 1:1000",
        "sticky header x-user-id salt a%20b",
        'rule 1 header x-tenant-id in acme ""',
        "and parameter r%2F1 prefix %C3%A9",
        "rule 1 parameter tester equals true",
        "shadow 2 parts 50 max_in_flight 8 compare logits",
        "breaker consecutive 5 rate 125 min_requests 20 window_us 10000000 open_us 30000000 "
        "max_open_us 300000000 latency_us 250000",
        "slow_start window_us 30000000 aggression 1.25",
        "rescue budget 1250 floor 0",
        "sequences cut idle_us 90000000",
    ]


def test_a_pinned_version_has_its_limits_and_nothing_else_of_the_policy() -> None:
    plan = compiled(EVERYTHING)
    assert plan.router.texts["2/policy.txt"].splitlines() == [
        "nereid-traffic 1",
        "endpoint digits",
        "generation 6",
        f"arm {plan.arms[1].physical} primary max_in_flight 64 overflow reject timeout_us 500000",
        "slots 0:10000",
        "sequences cut idle_us 90000000",
    ]


def test_what_is_off_has_no_line() -> None:
    arms = [{"model": "digits", "version": 1, "weight": 100}]
    text = router_text(compiled({"arms": arms, "breaker": None, "rescue": None}))
    assert [line.split()[0] for line in text.splitlines()[3:]] == ["arm", "slots", "sequences"]


def test_adaptive_arms_say_what_they_hold() -> None:
    arms = [
        {"model": "digits", "version": 1, "primary": True},
        {"model": "digits", "version": 2, "max_in_flight": 8},
        {"model": "digits", "version": 3, "max_in_flight": 8, "capacity": 4},
    ]
    objective = {"alpha": 1, "gamma": 0.5, "explore": 0.02}
    plan = compiled({"arms": arms, "mode": "adaptive", "objective": objective})
    lines = router_text(plan).splitlines()
    # The serving profile has one instance and batches of 64 rows.
    assert [line.partition(" capacity ")[2].split()[0] for line in lines[3:6]] == ["64", "8", "4"]
    assert "objective alpha 1 beta 0 gamma 0.5 delta 0 explore 200" in lines


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (100.0, "100"),
        (0.1, "0.1"),
        (1e-9, "0.000000001"),
        (1e9, "1000000000"),
    ],
)
def test_numbers_have_no_exponent(value: float, word: str) -> None:
    assert decimal_word(value) == word


@pytest.mark.parametrize(
    ("text", "word"), [("", '""'), ("a b", "a%20b"), ("x/y%", "x%2Fy%25"), ('""', "%22%22")]
)
def test_texts_are_single_words(text: str, word: str) -> None:
    assert text_word(text) == word


def test_a_table_that_leaves_slots_out_is_refused() -> None:
    policy = parse_policy({"arms": [{"model": "digits", "version": 1, "weight": 100}]})
    with pytest.raises(ValueError, match="slots"):
        compact_policy(
            endpoint="e", generation=1, policy=policy, served=[Served("a")], slots=[(0, 9999)]
        )


def test_a_spent_allowance_leaves_the_share_to_the_primary_and_other_grants_alone() -> None:
    text = router_text(compiled(EVERYTHING))
    [line] = [line for line in text.splitlines() if line.startswith("allowance")]
    grant = line.split()[3]
    assert with_spent_allowances(text, {"another"}) == text
    spent = with_spent_allowances(text, {grant})
    assert spent == text.replace(line, line.replace("attempts 5000", "attempts 0"))
    before, after = (NativeRouter(one).policy["arms"][1]["allowance"] for one in (text, spent))
    assert (before["attempts"], after["attempts"]) == (5000, 0)
    assert after == before | {"attempts": 0}


@given(documents(grants=True))
def test_the_router_takes_whatever_is_compiled(document: dict[str, Any]) -> None:
    plan = compiled(document)
    for text in plan.router.texts.values():
        router = NativeRouter(text)
        assert router.generation == 6
        NativeRouter(with_spent_allowances(text, plan.grants))
    router = NativeRouter(router_text(plan))
    assert router.arms == [planned.physical for planned in plan.arms]
    assert router.primary in {p.physical for p in plan.arms if p.arm.primary}

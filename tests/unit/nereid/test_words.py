"""A policy in words: true of any document, readable for the usual one."""

from typing import Any

import pytest
from hypothesis import given

from nereid.words import Said, policy_in_words
from tests.support.policies import documents

STANDING = {
    "mode": "weighted",
    "objective": None,
    "arms": [
        {"name": "stable", "model": "digits", "version": 1, "cost": 0.0},
        {"name": "next", "max_in_flight": 64, "overflow": None, "allowance": {"attempts": 9}},
    ],
    "sticky": {"key": "sequence"},
    "rules": [],
    "shadow": [{"arm": "next", "percent": 20, "max_in_flight": 8, "compare": "logits"}],
    "breaker": {
        **{"consecutive_failures": 5, "failure_rate": 0.5, "min_requests": 20, "window": "10s"},
        **{"open": "30s", "max_open": "300s"},
    },
    "slow_start": None,
    "rescue": {"enabled": True, "budget_percent": 20, "floor": 3},
    "sequences": {"on_change": "finish", "idle": "60s"},
}


def said(document: dict[str, Any]) -> dict[str, Said]:
    return {part.label: part for part in policy_in_words(document)}


def test_what_is_in_force_is_said_in_one_line_each() -> None:
    assert {label: part.text for label, part in said(STANDING).items()} == {
        "mode": "weighted",
        "sticky": "by sequence",
        "rules": "off",
        "shadow": "20 % copied to next, comparing logits, at most 8 in flight",
        "rescue": "on, 20 % of what is in flight, always 3",
        "breaker": "5 in a row or 50 % of at least 20 in 10s; open for 30s to 300s",
        "slow start": "off",
        "sequences": "finish on their arm on a change, idle after 60s",
        "limits of next": "at most 64 in flight, more is refused, allowance attempts 9",
    }


@pytest.mark.parametrize(
    ("part", "value"), [("breaker", None), ("rescue", {"enabled": False}), ("sticky", None)]
)
def test_what_is_off_says_so(part: str, value: Any) -> None:
    assert said({**STANDING, part: value})[part] == Said(part, "off", off=True)


def test_the_adaptive_mode_names_what_it_weighs() -> None:
    objective = {"alpha": 1.0, "beta": 0.0, "gamma": 0.5, "delta": 0.0, "explore": 0.02}
    document = {**STANDING, "mode": "adaptive", "objective": objective}
    assert said(document)["mode"].text == "adaptive: latency 1 + load 0.5, exploring with 2 %"


def test_an_older_server_says_only_what_it_has() -> None:
    assert policy_in_words({"arms": [{"name": "a", "weight": 100}]}) == []
    assert policy_in_words({}) == []


@given(documents())
def test_any_document_can_be_said(document: dict[str, Any]) -> None:
    parts = policy_in_words(document)
    assert all(part.label and part.text for part in parts)
    assert sum(part.label.startswith("limits of") for part in parts) <= len(document["arms"])

"""What people write to start a rollout, read and written again."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.domain.rollout.document import read_rollout, to_document
from control_plane.domain.rollout.steps import (
    Analysis,
    Kind,
    Pause,
    Ramp,
    SetShadow,
    SetWeight,
    with_compared,
)
from control_plane.domain.violations import InvalidInputError

LEAST = {"endpoint": "digits", "to": {"model": "digits", "version": 2}}
STEPS: list[dict[str, Any]] = [
    {"setWeight": 5},
    {"analysis": {"templates": ["default", "latency"]}},
    {"pause": {"duration": "60s"}},
    {"pause": {}},
    {"approval": {}},
    {"setShadow": {"percent": 20, "max_in_flight": 4, "compare": "logits"}},
    {"setRule": {"when": {"header:x-tenant-id": {"in": ["acme"]}}}},
    {"setRule": {}},
]


@pytest.mark.parametrize(
    "strategy",
    [
        None,
        {"canary": {}},
        {"canary": {"steps": STEPS}},
        {"blueGreen": {}},
        {"progressive": {}},
        {"progressive": {"from": 2.5, "to": 30, "analysis": {"template": "latency"}}},
        {"shadowFirst": {}},
        {
            "shadowFirst": {
                "percent": 2.5,
                "max_in_flight": 4,
                "compare": "logits",
                "shadowAnalysis": {"templates": ["shadow", "mine"]},
                "steps": STEPS,
            }
        },
    ],
)
def test_what_is_written_again_is_read_the_same(strategy: Any) -> None:
    wanted = read_rollout({**LEAST, "strategy": strategy, "watch": "0s", "dryRun": True})
    assert read_rollout(to_document(wanted)) == wanted


def test_little_has_to_be_said() -> None:
    wanted = read_rollout(LEAST)
    assert wanted.strategy.kind is Kind.CANARY
    assert wanted.strategy.steps[:2] == (SetWeight(500), Analysis())
    assert (wanted.watch, wanted.dry_run) == (600_000_000, False)
    assert read_rollout({**LEAST, "strategy": {"progressive": {}}}).strategy.steps == (Ramp(),)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"endpoint": "Digits"}, "/endpoint"),
        ({"to": None}, "/to"),
        ({"to": {"model": "digits", "number": 2}}, "/to/number"),
        ({"strategy": {"canary": {}, "blueGreen": {}}}, "/strategy"),
        ({"strategy": {"rolling": {}}}, "/strategy/rolling"),
        ({"strategy": {"blueGreen": {"steps": []}}}, "/strategy/blueGreen/steps"),
        ({"strategy": {"progressive": {"from": 50, "to": 5}}}, "/strategy/progressive/to"),
        ({"strategy": {"progressive": {"to": 100}}}, "/strategy/progressive/to"),
        ({"strategy": {"shadowFirst": {"percent": 0}}}, "/strategy/shadowFirst/percent"),
        (
            {"strategy": {"shadowFirst": {"steps": [{"wait": 5}]}}},
            "/strategy/shadowFirst/steps/0/wait",
        ),
        *(
            ({"strategy": {"canary": {"steps": [step]}}}, f"/strategy/canary/steps/0{where}")
            for step, where in [
                ({}, ""),
                ({"setWeight": 5, "approval": {}}, ""),
                ({"setWeight": 101}, "/setWeight"),
                ({"setWeight": 5.001}, "/setWeight"),
                ({"pause": {"duration": "soon"}}, "/pause/duration"),
                ({"pause": {"for": "1s"}}, "/pause/for"),
                ({"analysis": {"template": "No"}}, "/analysis/template"),
                ({"setRule": {"when": {"cookie:x": {"equals": "1"}}}}, "/setRule/when/cookie:x"),
                ({"wait": 5}, "/wait"),
            ]
        ),
        ({"harmBudget": {"failedRequests": 0}}, "/harmBudget/failedRequests"),
        ({"harmBudget": {"confidence": 1}}, "/harmBudget/confidence"),
        ({"watch": "forever"}, "/watch"),
        ({"progressDeadline": "1s"}, "/progressDeadline"),
        ({"dryRun": "yes"}, "/dryRun"),
        ({"paused": True}, "/paused"),
    ],
)
def test_what_is_wrong_is_told_where(change: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        read_rollout({**LEAST, **change})
    assert pointer in [violation.pointer for violation in refused.value.violations]


def test_copies_come_first_and_end_before_the_steps() -> None:
    strategy = read_rollout({**LEAST, "strategy": {"shadowFirst": {}}}).strategy
    assert [str(step) for step in strategy.steps[:4]] == [
        *("setShadow 20 %", "analysis shadow", "setShadow 0 %", "setWeight 5 %"),
    ]
    compared = with_compared(strategy, "logits")
    assert compared.steps[0] == SetShadow(2_000, compare="logits")
    assert with_compared(compared, "other") == compared, "who says one has it"
    canary = read_rollout({**LEAST, "strategy": {"canary": {"steps": [{"setShadow": 5}]}}}).strategy
    assert with_compared(canary, "logits") == canary


def test_a_step_says_itself_in_words() -> None:
    assert [str(step) for step in (SetWeight(2_550), Pause(), Pause(90_000_000), Ramp())] == [
        "setWeight 25.5 %",
        "pause",
        "pause 90 s",
        "ramp 1 to 50 %",
    ]

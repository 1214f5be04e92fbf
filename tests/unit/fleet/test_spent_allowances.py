"""Allowances over a restart of Triton: what was left is not known, so nothing is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from control_plane.domain.planning.compiling import compile_plan
from control_plane.domain.planning.plan import Plan
from control_plane.domain.routing.document import parse_policy
from tests.support.plans import version
from tests.unit.fleet.test_agent import ONE, Node, roll

HUNDRED = {"attempts": 100, "failures": 5, "until": "2027-01-01T00:00:00Z"}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def canary(
    generation: int, previous: Plan | None = None, weight: int = 10, **allowance: object
) -> Plan:
    document = {
        "arms": [
            {"model": "digits", "version": 1, "weight": 100 - weight, "primary": True},
            {
                "model": "digits",
                "version": 2,
                "weight": weight,
                "allowance": HUNDRED | allowance,
            },
        ]
    }
    return compile_plan(
        endpoint="digits",
        generation=generation,
        policy=parse_policy(document),
        versions={("digits", number): version(number) for number in (1, 2)},
        previous=previous,
    )


def allowance(node: Node) -> str:
    text = (node.root / "repository/digits/1000000000/policy.txt").read_text()
    [line] = [line for line in text.splitlines() if line.startswith("allowance")]
    return line


def test_a_restarted_triton_has_no_attempts_left(node: Node) -> None:
    plan = canary(1)
    roll(node, plan)
    grant = plan.arms[1].grant
    assert allowance(node) == (
        f"allowance 1 grant {grant} attempts 100 failures 5 until_ms 1798761600000"
    )
    node.triton.crash()
    assert node.again().restore() == []
    assert allowance(node) == (
        f"allowance 1 grant {grant} attempts 0 failures 5 until_ms 1798761600000"
    )
    # The node's memory is of what was planned: it goes on from there, and is compared by it.
    assert node.state.read("digits").desired == plan
    assert node.agent.missing() == []


def test_an_allowance_without_attempts_is_spent_too(node: Node) -> None:
    plan = canary(1, attempts=None)
    roll(node, plan)
    assert " attempts - " in allowance(node)
    node.triton.crash()
    node.again().restore()
    assert " attempts 0 failures 5 " in allowance(node)


def commands(node: Node) -> dict[str, Callable[[Plan], object]]:
    return {
        "restored first": lambda _: node.again().restore(),
        "switched at once": node.agent.prepare,
    }


@pytest.mark.parametrize("order", ["restored first", "switched at once"])
def test_a_change_that_keeps_the_allowance_gives_nothing_back(node: Node, order: str) -> None:
    before = canary(1)
    roll(node, before)
    node.triton.crash()
    after = canary(2, before, weight=20)
    assert after.grants == before.grants
    commands(node)[order](after)
    roll(node, after)
    if order == "switched at once":
        assert " attempts 0 " in allowance(node)
    # The router that is loaded now counts by itself, and knows this grant as spent.
    node.triton.crash()
    node.again().restore()
    assert " attempts 0 " in allowance(node)


@pytest.mark.parametrize("order", ["restored first", "switched at once"])
def test_another_grant_is_in_force_at_once(node: Node, order: str) -> None:
    before = canary(1)
    roll(node, before)
    node.triton.crash()
    after = canary(2, before, grant="second try")
    commands(node)[order](after)
    roll(node, after)
    assert " attempts 100 " in allowance(node)


def test_a_grant_of_the_revision_before_is_remembered(node: Node) -> None:
    before = canary(1)
    roll(node, before, compiled_without(2))
    node.triton.crash()
    # A kill goes on from what served, with the grant that stood there.
    again = canary(3, before)
    roll(node, again)
    assert " attempts 0 " in allowance(node)


def test_a_first_router_and_one_that_is_loaded_have_what_was_granted(node: Node) -> None:
    roll(node, ONE)
    one = canary(2)
    roll(node, one)
    assert " attempts 100 " in allowance(node)
    # Triton counts on: to say 0 here would be no harm, to forget the rest would.
    roll(node, canary(3, one, weight=30))
    assert " attempts 100 " in allowance(node)


def compiled_without(generation: int) -> Plan:
    document = {"arms": [{"model": "digits", "version": 1, "weight": 100}]}
    return compile_plan(
        endpoint="digits",
        generation=generation,
        policy=parse_policy(document),
        versions={("digits", 1): version(1)},
    )

"""What a plan takes over from the one before: slots, allowances, and plans of long ago."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from control_plane.domain.planning.compiling import compile_plan
from control_plane.domain.planning.plan import Plan
from control_plane.domain.routing.document import parse_policy
from control_plane.domain.routing.policy import Breaker, RoutingPolicy
from tests.support.plans import plan, version
from tests.support.policies import NAMES


def compiled(
    generation: int,
    weights: tuple[float, ...],
    previous: Plan | None = None,
    allowance: dict[str, Any] | None = None,
    **more: Any,
) -> Plan:
    arms: list[dict[str, Any]] = [
        {
            "name": NAMES[i],
            "model": "digits",
            "version": i + 1,
            "weight": weight,
            "primary": i == 0,
        }
        for i, weight in enumerate(weights)
    ]
    if allowance:
        arms[-1]["allowance"] = allowance
    policy = parse_policy({"arms": arms, **more})
    return compile_plan(
        endpoint="digits",
        generation=generation,
        policy=policy,
        versions={("digits", arm.version): version(arm.version) for arm in policy.arms},
        previous=previous,
    )


def of_the_first_release(plan: Plan) -> dict[str, Any]:
    """The document as the first release wrote it."""
    document = plan.to_document()
    for field in ("slots", "policy", "urgent"):
        del document[field]
    known = ("name", "model", "version", "weight", "primary", "physical")
    document["arms"] = [{field: arm[field] for field in known} for arm in document["arms"]]
    return document


def test_the_table_goes_on_from_the_plan_before() -> None:
    one = compiled(1, (80, 10, 10))
    two = compiled(2, (70, 10, 20), one)
    # The third arm's share grew out of what the primary gave up, in the middle of the table.
    assert two.slots == ((0, 7000), (2, 1000), (1, 1000), (2, 1000))
    assert "slots 0:7000 2:1000 1:1000 2:1000\n" in two.router.texts["1000000000/policy.txt"]
    assert compiled(3, (80, 10, 10), two).slots == one.slots
    assert compiled(3, (70, 10, 20)).slots != two.slots


def test_a_plan_of_the_first_release_reads_and_is_gone_on_from() -> None:
    old = Plan.from_document(of_the_first_release(plan(1, (1, 9000), (2, 1000))))
    assert old.slots == ()
    assert old.required == old.physical_names
    assert (old.routing.breaker, old.routing.rescue.enabled) == (None, False)
    after = compiled(2, (80, 20), old)
    assert sum(a != b for a, b in zip(old.slot_table, after.slot_table, strict=True)) == 1000
    assert after.routing.breaker == Breaker()


def test_a_plan_with_everything_survives_the_round_trip() -> None:
    one = compiled(
        1,
        (90, 10),
        allowance={"attempts": 9, "until": "2026-11-24T13:00:00Z"},
        sticky={"key": "sequence"},
        slow_start={"window": "5s"},
    )
    again = Plan.from_document(one.to_document())
    assert again == one
    assert again.routing == one.routing


def test_an_allowance_goes_on_as_long_as_it_stands() -> None:
    granted = {"attempts": 100}
    one = compiled(1, (90, 10), allowance=granted)
    word = one.arms[1].grant
    assert word
    kept = compiled(2, (50, 50), one, allowance=granted, rescue=None)
    assert kept.arms[1].grant == word
    changed = compiled(3, (50, 50), kept, allowance={"attempts": 200})
    assert changed.arms[1].grant != word
    without = compiled(4, (50, 50), changed)
    assert without.arms[1].grant == ""
    again = compiled(5, (50, 50), without, allowance=granted)
    assert again.arms[1].grant not in ("", word)


def test_the_same_numbers_are_granted_anew_by_another_word() -> None:
    def after(before: Plan | None, generation: int, **word: str) -> Plan:
        return compiled(generation, (90, 10), before, allowance={"attempts": 100, **word})

    one = after(None, 1, grant="first")
    assert after(one, 2, grant="first").arms[1].grant == one.arms[1].grant
    assert after(one, 2, grant="second").arms[1].grant != one.arms[1].grant
    # A word that is left out, by a form that does not know it, grants nothing.
    without = after(one, 2)
    assert without.arms[1].grant == one.arms[1].grant
    other = compiled(2, (90, 10), one, allowance={"attempts": 101})
    assert other.arms[1].grant != one.arms[1].grant


def test_a_table_that_is_gone_back_to_is_the_same_slot_by_slot() -> None:
    one = compiled(1, (60, 20, 20))
    two = compiled(2, (60, 25, 15), one)
    target = compiled(3, (55, 25, 20), two)
    killed = compiled(4, (100, 0, 0), target)
    versions = {("digits", n): version(n) for n in (1, 2, 3)}
    back = compile_plan(
        endpoint="digits",
        generation=5,
        policy=target.routing,
        versions=versions,
        previous=killed,
        slots_of=target,
    )
    assert back.slots == target.slots
    # What the weights alone say, laid out anew, would not be.
    assert compiled(5, (55, 25, 20), killed).slots != target.slots


def test_an_urgent_plan_requires_what_has_a_share_alone_and_takes_what_is_loaded() -> None:
    before = compiled(1, (90, 10))
    killed = compiled(1, (100, 0)).routing
    versions = {("digits", n): version(n, profile="throughput") for n in (1, 2)}

    def after(urgent: bool, policy: RoutingPolicy = killed) -> Plan:
        return compile_plan(
            endpoint="digits",
            generation=2,
            policy=policy,
            versions=versions,
            previous=before,
            urgent=urgent,
        )

    assert after(urgent=True).models == before.models
    assert after(urgent=True).required == {before.arms[0].physical}
    # A way back may lead to more arms than one.
    assert after(urgent=True, policy=before.routing).required == before.physical_names
    # The serving profile was changed since: compiled anew, the primary would have to be loaded.
    assert not after(urgent=False).physical_names & before.physical_names
    assert after(urgent=False).required == after(urgent=False).physical_names


def test_the_routers_files_change_with_the_limits_of_an_arm() -> None:
    one = compiled(1, (90, 10))
    limited = replace(one.routing.arms[1], max_in_flight=4)
    policy = replace(one.routing, arms=(one.routing.arms[0], limited))
    two = compile_plan(
        endpoint="digits",
        generation=1,
        policy=policy,
        versions={("digits", n): version(n) for n in (1, 2)},
    )
    assert two.models == one.models
    changed = {p for p, text in two.router.texts.items() if text != one.router.texts[p]}
    assert changed == {"2/policy.txt", "1000000000/policy.txt"}

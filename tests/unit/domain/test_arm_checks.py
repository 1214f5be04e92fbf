"""What arms of one endpoint must have in common, and what a kill does without."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from control_plane.domain.planning.changes import changes, refused_batches
from control_plane.domain.planning.compiling import compile_plan
from control_plane.domain.planning.model_config import version_config
from control_plane.domain.planning.plan import Plan, VersionSpec
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.violations import InvalidInputError
from tests.support.plans import DIGITS, policy, version

PLAIN: dict[str, Any] = {"max_batch_size": 64, "dynamic_batching": {}}


def served_as(number: int, **values: Any) -> VersionSpec:
    profile = ServingProfile.from_values(f"p{number}", PLAIN | values)
    return replace(version(number), profile=profile)


def two_arms(
    first: VersionSpec,
    second: VersionSpec,
    shares: tuple[int, int] = (9900, 100),
    previous: Plan | None = None,
    urgent: bool = False,
) -> Plan:
    return compile_plan(
        endpoint="digits",
        generation=1,
        policy=policy((first.number, shares[0]), (second.number, shares[1])),
        versions={("digits", spec.number): spec for spec in (first, second)},
        previous=previous,
        urgent=urgent,
    )


def prioritised(levels: int, default: int) -> dict[str, Any]:
    return {"dynamic_batching": {"priority_levels": levels, "default_priority_level": default}}


def instances(plan: Plan) -> int:
    [group] = plan.router.variants["cpu"]["instance_group"]
    return int(group["count"])


@pytest.mark.parametrize(
    ("first", "second", "code", "says"),
    [
        ({}, {"max_batch_size": 0}, "batching", "give both a serving profile that batches"),
        ({"max_batch_size": 0}, {}, "batching", "digits-v1 takes none (max_batch_size 0)"),
        ({}, prioritised(3, 2), "priorities", "digits-v2 has 3 priorities, 2 by default"),
        (prioritised(3, 2), {}, "priorities", "digits-v1 has 3 priorities, 2 by default"),
        (prioritised(3, 2), prioritised(3, 1), "priorities", "3 priorities, 1 by default"),
        (prioritised(3, 2), prioritised(2, 2), "priorities", "2 priorities, 2 by default"),
    ],
)
def test_arms_that_differ_where_the_router_has_one_for_all_are_refused(
    first: dict[str, Any], second: dict[str, Any], code: str, says: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        two_arms(served_as(1, **first), served_as(2, **second))
    [violation] = caught.value.violations
    assert (violation.pointer, violation.code) == ("/arms/1", code)
    assert says in violation.detail
    assert "digits-v1" in violation.detail
    assert "digits-v2" in violation.detail


def test_arms_that_agree_are_taken_and_the_router_declares_the_same() -> None:
    alike = prioritised(3, 2)
    plan = two_arms(served_as(1, **alike), served_as(2, **alike))
    assert plan.router.variants["cpu"]["dynamic_batching"] == {
        "priority_levels": "3",
        "default_priority_level": "2",
    }
    assert instances(plan) == 2  # with one, Triton's batcher oversleeps now and then
    unbatched = two_arms(served_as(1, max_batch_size=0), served_as(2, max_batch_size=0))
    assert unbatched.max_batch_size == 0
    assert instances(unbatched) == 1


def test_without_batches_every_dimension_is_declared() -> None:
    config = version_config("onnx", DIGITS, ServingProfile(name="p"), "cpu")
    assert (config["max_batch_size"], config["input"][0]["dims"]) == (0, ["-1", "1", "8", "8"])
    plan = two_arms(served_as(1, max_batch_size=0), served_as(2, max_batch_size=0))
    assert plan.router.variants["cpu"]["input"][0]["dims"] == ["-1", "1", "8", "8"]


def test_a_kill_leaves_the_primary_alone_in_the_routers_configuration() -> None:
    large, small = served_as(1, max_batch_size=256), served_as(2, max_batch_size=64)
    before = two_arms(large, small)
    assert before.max_batch_size == 64
    after = two_arms(large, small, (10_000, 0), before, urgent=True)
    assert after.max_batch_size == 256
    assert after.models == before.models


def test_a_kill_is_not_held_up_by_what_arms_of_before_disagree_on() -> None:
    alike = two_arms(served_as(1), served_as(2))
    small, primary = alike.models[1], alike.models[0]
    unbatched = {kind: {**config, "max_batch_size": 0} for kind, config in small.variants.items()}
    before = replace(alike, models=(primary, replace(small, variants=unbatched)))
    after = two_arms(served_as(1), served_as(2), (10_000, 0), before, urgent=True)
    assert after.max_batch_size == 64


def test_a_profile_that_cannot_be_read_is_needed_by_what_is_not_loaded_alone() -> None:
    before = two_arms(served_as(1), served_as(2))
    lost = [replace(version(n), profile=None, profile_error="it is gone") for n in (1, 2)]
    after = two_arms(lost[0], lost[1], (10_000, 0), before, urgent=True)
    assert after.models == before.models
    with pytest.raises(InvalidInputError) as caught:
        two_arms(lost[0], lost[1], previous=before)
    assert [(v.pointer, v.code) for v in caught.value.violations] == [
        ("/arms/0/version", "profile"),
        ("/arms/1/version", "profile"),
    ]
    assert "it is gone" in caught.value.violations[0].detail


@pytest.mark.parametrize(
    ("was", "becomes", "refused"),
    [
        (256, 64, "batches of 65 to 256 will be refused"),
        (65, 64, "batches of 65 will be refused"),
        (64, 0, "no batches will be taken"),
        (64, 64, ""),
        (64, 256, ""),
    ],
)
def test_what_happens_to_callers_batches_is_said(was: int, becomes: int, refused: str) -> None:
    before, after = (
        two_arms(served_as(1, max_batch_size=size), served_as(2, max_batch_size=size))
        for size in (was, becomes)
    )
    assert refused_batches(before, after) == refused
    assert refused_batches(None, after) == ""
    said = [c.detail for c in changes(before, after) if (c.action, c.arm) == ("limits", "")]
    moved = f"batches of at most {was} -> {becomes}"
    expected = f"{moved}: {refused}" if refused else moved
    assert said == ([] if was == becomes else [expected])

"""A twin: the same version once more, under a name and with a queue of its own."""

from typing import Any

import pytest

from control_plane.domain.names import is_physical_name
from control_plane.domain.planning.compiling import compile_plan
from control_plane.domain.planning.plan import Plan
from control_plane.domain.routing.document import parse_policy, to_document
from control_plane.domain.violations import InvalidInputError
from tests.support.plans import version

VERSIONS = {("digits", number): version(number) for number in (1, 2)}


def document(*more: dict[str, Any], stable: int = 90) -> dict[str, Any]:
    arms = [
        {"name": "stable", "model": "digits", "version": 1, "weight": stable, "primary": True},
        {"name": "candidate", "model": "digits", "version": 2, "weight": 5},
    ]
    return {"arms": [*arms, *more]}


TWIN = {"model": "digits", "version": 1, "weight": 5, "twin": True}


def compiled(document: dict[str, Any], generation: int = 1, **more: Any) -> Plan:
    return compile_plan(
        endpoint="digits",
        generation=generation,
        policy=parse_policy(document),
        versions=VERSIONS,
        **more,
    )


def broken(document: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as refused:
        parse_policy(document)
    return {violation.pointer: violation.code for violation in refused.value.violations}


def test_it_is_the_same_model_under_a_name_of_its_own() -> None:
    plan = compiled(document(TWIN))
    stable, _, twin = plan.models
    assert twin.name == f"{stable.name}.twin"
    assert (twin.variants, twin.links) == (stable.variants, stable.links)
    assert is_physical_name(twin.name)
    assert plan.arms[2].arm.name == "digits-v1-twin"


def test_it_is_no_other_version_and_nobody_reaches_it_by_number() -> None:
    plan = compiled(document(TWIN))
    assert plan.versions[("digits", 1)] == plan.models[0].name
    assert sorted(plan.router.texts) == sorted(compiled(document(stable=95)).router.texts)


def test_it_takes_its_slots_from_the_stable_arm_and_gives_them_back() -> None:
    before = compiled(document(stable=95))
    during = compiled(document(TWIN), 2, previous=before)
    after = compiled(document(stable=95), 3, previous=during)
    assert sum(1 for place in during.slot_table if place == ("digits.twin", 1)) == 500
    assert after.slot_table == before.slot_table


def test_everything_to_the_primary_finds_it_loaded() -> None:
    during = compiled(document(TWIN))
    away = document({**TWIN, "weight": 0}, stable=95)
    urgent = compiled(away, 2, previous=during, urgent=True)
    assert [model.name for model in urgent.models] == [model.name for model in during.models]


def test_it_survives_the_round_trips_and_others_keep_their_digest() -> None:
    policy = parse_policy(document(TWIN))
    assert parse_policy(to_document(policy)) == policy
    plan = compiled(document(TWIN))
    assert Plan.from_document(plan.to_document()) == plan
    plain = compiled(document(stable=95)).to_document()
    assert all("twin" not in arm for arm in plain["arms"])


@pytest.mark.parametrize(
    ("arm", "found"),
    [
        ({**TWIN, "version": 3}, {"/arms/2/twin": "alone"}),
        ({**TWIN, "overrides": {"max_batch_size": 1}}, {"/arms/2/overrides": "twin"}),
        (
            {"pipeline": "digits", "revision": 1, "weight": 5, "twin": True},
            {"/arms/2/twin": "pipeline"},
        ),
        ({**TWIN, "twin": "yes"}, {"/arms/2/twin": "type"}),
    ],
)
def test_what_is_no_twin_is_refused(arm: dict[str, Any], found: dict[str, str]) -> None:
    assert broken(document(arm)) == found


def test_one_is_enough_and_it_is_never_the_primary() -> None:
    two = document({**TWIN, "weight": 3}, {**TWIN, "weight": 2, "name": "another"})
    assert broken(two) == {"/arms/3": "duplicate"}
    as_primary = document({**TWIN, "primary": True})
    as_primary["arms"][0]["primary"] = False
    assert broken(as_primary) == {"/arms/2/twin": "primary"}

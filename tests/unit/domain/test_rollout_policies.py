"""The policies that a rollout makes of the one it found."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.rollout.harm import share_out
from control_plane.domain.rollout.policies import (
    check_startable,
    promoted,
    taken_back,
    with_candidate,
)
from control_plane.domain.rollout.steps import SetRule, SetShadow, SetWeight, Split, split_at
from control_plane.domain.routing.document import parse_policy, to_document
from control_plane.domain.routing.policy import (
    SLOTS,
    Allowance,
    Arm,
    Condition,
    Match,
    Objective,
    OnChange,
    RoutingPolicy,
    Rule,
    Source,
)
from control_plane.domain.violations import ConflictError, InvalidInputError
from tests.support.plans import policy

TO = Arm("", "digits", 9, 0)
ALLOWED = Allowance(failures=10, grant="rollout 1")
ACME = (Condition(Source.HEADER, "x-tenant-id", Match.EQUALS, ("acme",)),)


def weights(found: RoutingPolicy) -> dict[str, int]:
    return {arm.name: arm.weight for arm in found.arms}


@given(st.integers(1, SLOTS), st.integers(0, SLOTS), st.booleans(), st.sampled_from([None, 2_000]))
def test_whatever_the_split_it_is_a_policy(
    primary: int, parts: int, twin: bool, shadow: int | None
) -> None:
    found = policy((1, primary), (2, SLOTS - primary))
    split = Split(parts, SetShadow(shadow) if shadow else None, SetRule(ACME))
    made = with_candidate(found, TO, split, ALLOWED, twin=twin)
    assert parse_policy(to_document(made)) == made
    given_away = primary - made.primary.weight
    candidate = made.arms[made.index("candidate")]
    assert abs(candidate.weight - primary * parts / SLOTS) <= 0.5
    assert made.arms[1].weight == SLOTS - primary, "other arms keep what they have"
    if twin:
        small = made.arms[made.index("twin")]
        assert small.weight == min(candidate.weight, (primary - candidate.weight) // 2)
        assert given_away == candidate.weight + small.weight
    assert candidate.allowance == ALLOWED
    assert made.rules[0] == Rule("candidate", ACME)


def test_the_candidate_takes_the_primarys_place_with_all_that_was_said_of_it() -> None:
    found = policy((1, 7_000), (2, 3_000))
    stable = replace(found.arms[0], name="stable", timeout=500_000, max_in_flight=64, accuracy=0.9)
    found = replace(found, arms=(stable, found.arms[1]), rules=(Rule("stable", ACME),))
    made = promoted(found, TO)
    assert made.primary == replace(stable, version=9, accuracy=None)
    assert made.rules == found.rules
    assert weights(made) == {"stable": 7_000, "digits-v2": 3_000}


def test_a_name_that_says_what_serves_follows_it() -> None:
    found = replace(policy((1, 10_000)), rules=(Rule("digits-v1", ACME),))
    made = promoted(found, TO)
    assert weights(made) == {"digits-v9": 10_000}
    assert made.rules[0].arm == "digits-v9"


def test_an_idle_arm_of_the_same_version_makes_room() -> None:
    found = policy((1, 10_000), (9, 0))
    check_startable(found, TO)
    assert weights(with_candidate(found, TO, Split(2_500), ALLOWED)) == {
        "digits-v1": 7_500,
        "candidate": 2_500,
    }
    assert weights(promoted(found, TO)) == {"digits-v9": 10_000}


def test_going_back_cuts_what_would_stay_on_the_candidate() -> None:
    found = policy((1, 10_000))
    assert taken_back(found).sequences.on_change is OnChange.CUT
    assert taken_back(found).arms == found.arms


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (policy((9, 10_000)), "primary already"),
        (policy((1, 9_000), (9, 1_000)), "has a weight"),
        (replace(policy((1, 10_000), (9, 0)), rules=(Rule("digits-v9", ACME),)), "has a rule"),
        (replace(policy((1, 10_000)), objective=Objective(alpha=1)), "adaptive"),
        (policy((1, 0), (2, 10_000)), "no share"),
    ],
)
def test_where_it_cannot_begin(found: RoutingPolicy, why: str) -> None:
    with pytest.raises(ConflictError, match=why):
        check_startable(found, TO)


def test_what_is_in_force_at_a_step() -> None:
    steps = (SetShadow(2_000), SetWeight(500), SetRule(ACME), SetShadow(0), SetRule())
    assert split_at(steps, 2) == Split(500, steps[0], steps[2])  # type: ignore[arg-type]
    assert split_at(steps, 4) == Split(500, None, None)


@given(st.integers(1, 10_000), st.integers(0, 300))
def test_a_budget_is_never_exceeded_by_its_parts(budget: int, servers: int) -> None:
    if budget < servers:
        with pytest.raises(InvalidInputError):
            share_out("w", budget, servers)
        return
    grant = share_out("w", budget, servers)
    assert grant.each >= 1
    assert budget - grant.servers < grant.total <= budget

"""The policies that a rollout makes of the one it found.

What it found stays whole but for the primary: the candidate is an arm beside it and takes a share
of what the primary had; in the end it takes the primary's place, with everything that was said of
that place (limits, rules that name it).
"""

from __future__ import annotations

from dataclasses import replace

from control_plane.domain.rollout.steps import Split
from control_plane.domain.routing.policy import (
    SLOTS,
    Allowance,
    Arm,
    OnChange,
    RoutingPolicy,
    Rule,
    Shadow,
)
from control_plane.domain.routing.read_arms import default_arm_name
from control_plane.domain.violations import ConflictError

CANDIDATE = "candidate"

TWIN_NAME = "twin"

WATCHED = SLOTS - 100
"""The candidate's share while it is watched. What served before keeps 1 % as the measure: one that
answers nothing can be compared with nothing, and its past is no fair judge of the present."""


def check_startable(found: RoutingPolicy, to: Arm) -> None:
    """Whether a rollout can begin at that policy.

    Raises:
        ConflictError: it serves already, has requests by hand, or the mode obeys no weights.
    """
    if found.objective is not None:
        raise ConflictError(
            "the endpoint's mode is adaptive, where the router chooses the shares by itself: set "
            "the mode 'weighted' first"
        )
    primary = found.primary
    if primary.key == to.key:
        raise ConflictError(f"{to} is the primary already: there is nothing to roll out")
    if twin := next((arm for arm in found.arms if arm.twin), None):
        raise ConflictError(
            f"arm {twin.name} is a twin, which a rollout makes by itself where it measures by one: "
            "take it out of the policy first"
        )
    present = next((arm for arm in found.arms if arm.key == to.key), None)
    if present is not None and (why := _in_use(found, present)):
        raise ConflictError(
            f"{to} is arm {present.name} of the policy already, and {why}: take that back first, "
            "and the rollout brings it in step by step"
        )
    if primary.weight == 0:
        raise ConflictError(
            f"the primary {primary.name} has no share of the requests, so there is none to give "
            "to the candidate: give it one first"
        )


def with_candidate(
    found: RoutingPolicy,
    to: Arm,
    split: Split,
    allowance: Allowance | None,
    *,
    twin: bool = False,
) -> RoutingPolicy:
    """The policy found with the candidate beside its primary.

    Of the primary's weight W the candidate gets c = round(W * parts / 10,000). Example: with 5 %
    of a primary that has 60 % it gets 3 %, and the primary keeps 57.

    Args:
        twin: whether the primary's version is there a second time, with a share as small as the
            candidate's: min(c, (W - c) / 2), so that the primary keeps as much at least.
    """
    base = _without(found, to)
    name = candidate_name(base)
    primary = base.primary
    share = (primary.weight * split.parts + SLOTS // 2) // SLOTS
    candidate = replace(
        _in_place_of(primary, to, name), weight=share, primary=False, allowance=allowance
    )
    beside = [candidate]
    if twin:
        beside.append(_twin_of(base, min(share, (primary.weight - share) // 2)))
    taken = sum(arm.weight for arm in beside)
    arms = tuple(
        replace(arm, weight=arm.weight - taken) if arm.primary else arm for arm in base.arms
    )
    rules, shadows = base.rules, base.shadows
    if split.rule is not None:
        # First: who is sent to the candidate by name is sent there whatever else holds.
        rules = (Rule(name, split.rule.conditions), *rules)
    if split.shadow is not None:
        asked = split.shadow
        shadows = (*shadows, Shadow(name, asked.parts, asked.max_in_flight, asked.compare))
    return replace(base, arms=(*arms, *beside), rules=rules, shadows=shadows)


def promoted(found: RoutingPolicy, to: Arm) -> RoutingPolicy:
    """The policy found with the candidate in its primary's place."""
    base = _without(found, to)
    before = base.primary
    # A name such as `digits-v1` says what serves, and would be a lie; `stable` says what it is for.
    named_after_it = before.name == default_arm_name(before.model, before.version)
    name = default_arm_name(to.model, to.version) if named_after_it else before.name
    if any(arm.name == name for arm in base.arms if not arm.primary):
        name = before.name
    arms = tuple(
        _in_place_of(arm, to, name)
        if arm.primary
        else replace(arm, overflow=name if arm.overflow == before.name else arm.overflow)
        for arm in base.arms
    )
    rules = tuple(
        replace(rule, arm=name if rule.arm == before.name else rule.arm) for rule in base.rules
    )
    return replace(base, arms=arms, rules=rules)


def taken_back(found: RoutingPolicy) -> RoutingPolicy:
    """The policy found, for the moment in which the candidate goes.

    Live sequences that are on the candidate are cut: they would stay there as long as they live.
    """
    return replace(found, sequences=replace(found.sequences, on_change=OnChange.CUT))


def candidate_name(found: RoutingPolicy) -> str:
    """The candidate's name among the arms there are."""
    return _free_name(found, CANDIDATE)


def _free_name(found: RoutingPolicy, wanted: str) -> str:
    taken = {arm.name for arm in found.arms}
    names = (wanted, *(f"{wanted}-{i}" for i in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def _twin_of(found: RoutingPolicy, weight: int) -> Arm:
    """The primary's version once more: it serves exactly what the primary does."""
    return replace(
        found.primary,
        name=_free_name(found, TWIN_NAME),
        weight=weight,
        primary=False,
        twin=True,
        overrides=None,
    )


def _in_place_of(arm: Arm, to: Arm, name: str) -> Arm:
    """That arm with something else to serve; how accurate it was is not handed down."""
    return replace(
        arm,
        name=name,
        model=to.model,
        version=to.version,
        pipeline=to.pipeline,
        accuracy=to.accuracy,
        overrides=None if to.pipeline else arm.overrides,
    )


def _without(found: RoutingPolicy, to: Arm) -> RoutingPolicy:
    """Without an idle arm of the same version, which `check_startable` let pass."""
    return replace(found, arms=tuple(arm for arm in found.arms if arm.key != to.key))


def _in_use(found: RoutingPolicy, arm: Arm) -> str:
    """What an arm that is no primary is there for; empty where it rests."""
    if arm.weight:
        return "has a weight"
    if any(rule.arm == arm.name for rule in found.rules):
        return "has a rule that sends requests to it"
    if any(shadow.arm == arm.name for shadow in found.shadows):
        return "gets copies of requests"
    if any(other.overflow == arm.name for other in found.arms):
        return "takes what another arm has no room for"
    return ""

"""The routing policy's document: what people write, read and checked, and written again.

What was once accepted stays so: revisions of long ago are read again for the way back.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from control_plane.domain.routing.fields import Fields, duration_text
from control_plane.domain.routing.headers import ForwardedHeaders
from control_plane.domain.routing.policy import (
    OVERFLOW_TO_PRIMARY,
    SLOTS,
    Allowance,
    Arm,
    Breaker,
    Condition,
    Confidence,
    Match,
    Objective,
    RoutingPolicy,
    Rule,
    Shadow,
    Source,
    Sticky,
    percent,
)
from control_plane.domain.routing.read_arms import read_arms
from control_plane.domain.routing.read_protection import (
    MIN_EXPLORE_PARTS,
    read_breaker,
    read_objective,
    read_rescue,
    read_sequences,
    read_slow_start,
)
from control_plane.domain.routing.read_requests import (
    read_confidence,
    read_rules,
    read_shadows,
    read_sticky,
)
from control_plane.domain.violations import InvalidInputError, Violation

_FIELDS = {
    "arms",
    "mode",
    "objective",
    "sticky",
    "rules",
    "shadow",
    "confidence",
    "breaker",
    "slow_start",
    "rescue",
    "sequences",
}


def parse_policy(document: object, headers: ForwardedHeaders | None = None) -> RoutingPolicy:
    """Reads and checks a policy document.

    Args:
        headers: those that reach the router; None is for what was accepted before, and takes
            any header and whatever else was allowed once.

    Raises:
        InvalidInputError: with one violation per broken rule, each with its JSON pointer.
    """
    found: list[Violation] = []
    fields = Fields(document, "", found, "a policy", _FIELDS)
    if not isinstance(document, dict):
        raise InvalidInputError(found)
    objective = read_objective(fields, least_explored=MIN_EXPLORE_PARTS if headers else 0)
    arms = read_arms(fields, adaptive=document.get("mode") == "adaptive")
    policy = RoutingPolicy(
        arms=arms,
        sticky=read_sticky(fields, headers),
        rules=read_rules(fields, arms, headers),
        shadows=read_shadows(fields, arms),
        confidence=read_confidence(fields),
        breaker=read_breaker(fields),
        slow_start=read_slow_start(fields),
        rescue=read_rescue(fields),
        objective=objective,
        sequences=read_sequences(fields),
    )
    if policy.sticky and policy.objective:
        detail = (
            "the mode 'adaptive' decides anew for every request, so nobody stays on an arm: "
            "leave sticky out, or set the mode 'weighted'"
        )
        fields.note("sticky", "mode", detail)
    if found:
        raise InvalidInputError(found)
    return policy


def to_document(policy: RoutingPolicy) -> dict[str, Any]:
    """The JSON form of API.md with every value in force; `parse_policy` reads it back."""
    return {
        "mode": policy.mode,
        "objective": _objective(policy.objective),
        "arms": [arm_document(arm) for arm in policy.arms],
        "sticky": _sticky(policy.sticky),
        "rules": [rule_document(rule) for rule in policy.rules],
        "shadow": [_shadow(shadow) for shadow in policy.shadows],
        "confidence": _confidence(policy.confidence),
        "breaker": _breaker(policy.breaker),
        "slow_start": policy.slow_start
        and {
            "window": duration_text(policy.slow_start.window),
            "aggression": policy.slow_start.aggression,
        },
        "rescue": {
            "enabled": policy.rescue.enabled,
            "budget_percent": percent(policy.rescue.budget_parts),
            "floor": policy.rescue.floor,
        },
        "sequences": {
            "on_change": policy.sequences.on_change.value,
            "idle": duration_text(policy.sequences.idle),
        },
    }


def allowance_document(allowance: Allowance) -> dict[str, Any]:
    """An allowance as it stands in a document."""
    until = None
    if allowance.until is not None:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=allowance.until)
        spec = "milliseconds" if allowance.until % 1_000 else "seconds"
        until = moment.isoformat(timespec=spec).replace("+00:00", "Z")
    return _given(
        [
            ("attempts", allowance.attempts),
            ("failures", allowance.failures),
            ("until", until),
            ("grant", allowance.grant),
            ("servers", None if allowance.servers is None else list(allowance.servers)),
        ]
    )


def arm_document(arm: Arm) -> dict[str, Any]:
    """An arm as it stands in a document; what it has not been given is left out."""
    document: dict[str, Any] = {
        "name": arm.name,
        "pipeline" if arm.pipeline else "model": arm.model,
        arm.number_field: arm.version,
        "weight": percent(arm.weight),
        "primary": arm.primary,
        "cost": arm.cost,
    }
    document |= _given(
        [
            ("twin", arm.twin or None),
            ("accuracy", arm.accuracy),
            ("capacity", arm.capacity),
            ("max_in_flight", arm.max_in_flight),
            ("timeout", None if arm.timeout is None else duration_text(arm.timeout)),
            ("allowance", arm.allowance and allowance_document(arm.allowance)),
            ("overrides", arm.overrides and dict(arm.overrides)),
        ]
    )
    # What overflows to the primary by default goes to whichever arm is the primary: a name
    # written down would stay behind when another arm takes that place.
    if arm.overflow != OVERFLOW_TO_PRIMARY:
        document["overflow"] = arm.overflow
    return document


def _sticky(sticky: Sticky | None) -> dict[str, Any] | None:
    if sticky is None:
        return None
    by_sequence = sticky.source is Source.SEQUENCE
    key = "sequence" if by_sequence else f"{sticky.source}:{sticky.name}"
    return {"key": key, **_given([("salt", sticky.salt)])}


def rule_document(rule: Rule) -> dict[str, Any]:
    """A rule as it stands in a document."""
    when: dict[str, dict[str, Any]] = {}
    for condition in rule.conditions:
        tests = when.setdefault(f"{condition.source}:{condition.name}", {})
        tests[condition.match.value] = _values(condition)
    return {"when": when, "arm": rule.arm}


def _values(condition: Condition) -> str | list[str]:
    values = list(condition.values)
    return values if condition.match is Match.IN else values[0]


def _shadow(shadow: Shadow) -> dict[str, Any]:
    return {
        "arm": shadow.arm,
        "percent": percent(shadow.parts),
        "max_in_flight": shadow.max_in_flight,
        **_given([("compare", shadow.compare)]),
    }


def _confidence(confidence: Confidence | None) -> dict[str, Any] | None:
    if confidence is None:
        return None
    return {"output": confidence.output, "scores": confidence.scores.value}


def _breaker(breaker: Breaker | None) -> dict[str, Any] | None:
    if breaker is None:
        return None
    latency = None if breaker.latency is None else duration_text(breaker.latency)
    return {
        "consecutive_failures": breaker.consecutive_failures,
        "failure_rate": breaker.failure_parts / SLOTS,
        "min_requests": breaker.min_requests,
        "window": duration_text(breaker.window),
        "open": duration_text(breaker.open),
        "max_open": duration_text(breaker.max_open),
        **_given([("latency", latency)]),
    }


def _objective(objective: Objective | None) -> dict[str, Any] | None:
    if objective is None:
        return None
    return {
        "alpha": objective.alpha,
        "beta": objective.beta,
        "gamma": objective.gamma,
        "delta": objective.delta,
        "explore": objective.explore_parts / SLOTS,
    }


def _given(fields: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in fields if value is not None}

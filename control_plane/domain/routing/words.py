"""A policy in words, part by part: what people read before they change it."""

from __future__ import annotations

from control_plane.domain.routing.fields import duration_text
from control_plane.domain.routing.policy import (
    SLOTS,
    Breaker,
    Condition,
    Confidence,
    Objective,
    RoutingPolicy,
    Rule,
    Shadow,
    Source,
    Sticky,
    percent,
)

_MANY = 5


def parts_in_words(policy: RoutingPolicy) -> dict[str, str]:
    """Everything but the arms: the name of the part -> what it says, `none` or `off`."""
    start, rescue, sequences = policy.slow_start, policy.rescue, policy.sequences
    return {
        "mode": _mode(policy.objective),
        "sticky": _sticky(policy.sticky),
        "rules": _listed([_rule(rule) for rule in policy.rules]),
        "shadow": _listed([_shadow(shadow) for shadow in policy.shadows]),
        "confidence": _confidence(policy.confidence),
        "breaker": _breaker(policy.breaker),
        "slow_start": f"over {duration_text(start.window)}, aggression {start.aggression:g}"
        if start
        else "off",
        "rescue": f"by the primary, for {percent(rescue.budget_parts)} % of what is in flight "
        f"and at least {rescue.floor}"
        if rescue.enabled
        else "off",
        "sequences": f"{sequences.on_change} on a change, over after "
        f"{duration_text(sequences.idle)} of silence",
    }


def _mode(objective: Objective | None) -> str:
    if objective is None:
        return "weighted"
    weights = ", ".join(
        f"{name} {getattr(objective, name):g}"
        for name in ("alpha", "beta", "gamma", "delta")
        if getattr(objective, name)
    )
    return f"adaptive by {weights}, exploring with {percent(objective.explore_parts)} %"


def _sticky(sticky: Sticky | None) -> str:
    if sticky is None:
        return "none"
    salt = "" if sticky.salt is None else f", salt {sticky.salt!r}"
    named = "" if sticky.source is Source.SEQUENCE else f":{sticky.name}"
    return f"by {sticky.source}{named}{salt}"


def _listed(entries: list[str]) -> str:
    if not entries:
        return "none"
    more = f"; and {len(entries) - _MANY} more" if len(entries) > _MANY else ""
    return "; ".join(entries[:_MANY]) + more


def _rule(rule: Rule) -> str:
    return f"{conditions_in_words(rule.conditions)} to {rule.arm}"


def conditions_in_words(conditions: tuple[Condition, ...]) -> str:
    """What has to hold of a request."""
    return " and ".join(_condition(condition) for condition in conditions)


def _condition(condition: Condition) -> str:
    values = ", ".join(repr(value) for value in condition.values[:_MANY])
    more = f" and {len(condition.values) - _MANY} more" if len(condition.values) > _MANY else ""
    return f"{condition.source}:{condition.name} {condition.match} {values}{more}"


def _shadow(shadow: Shadow) -> str:
    compared = f", compared by {shadow.compare}" if shadow.compare else ""
    return (
        f"{percent(shadow.parts)} % copied to {shadow.arm}, {shadow.max_in_flight} at most at "
        f"a time{compared}"
    )


def _confidence(confidence: Confidence | None) -> str:
    return f"of {confidence.output}, {confidence.scores}" if confidence else "off"


def _breaker(breaker: Breaker | None) -> str:
    if breaker is None:
        return "off"
    tests = []
    if breaker.consecutive_failures:
        tests.append(f"{breaker.consecutive_failures} failures in a row")
    if breaker.failure_parts:
        tests.append(
            f"{100 * breaker.failure_parts / SLOTS:g} % failed of at least "
            f"{breaker.min_requests} within {duration_text(breaker.window)}"
        )
    slow = ""
    if breaker.latency is not None:
        slow = f", slower than {duration_text(breaker.latency)} counts as failed"
    return (
        f"opens after {' or '.join(tests)}{slow}, for {duration_text(breaker.open)} to "
        f"{duration_text(breaker.max_open)}"
    )

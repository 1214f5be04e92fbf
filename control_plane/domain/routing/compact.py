"""The policy as the traffic backend reads it: a few lines of text (backends/traffic)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import quote

from control_plane.domain.routing.policy import (
    OVERFLOW_TO_PRIMARY,
    SLOTS,
    Arm,
    Breaker,
    Condition,
    RoutingPolicy,
    Source,
)
from control_plane.domain.routing.slots import Run

FILE_NAME = "policy.txt"
PINNED_LIMIT = 1_000_000_000
"""The router's version that carries the policy; real versions stay below it."""


@dataclass(frozen=True)
class Served:
    """What the router must know of an arm beside the policy.

    `capacity` is how many requests its physical model works on at once; `grant` tells one
    allowance from the next, empty where there is none.
    """

    physical: str
    capacity: int = 1
    grant: str = ""


def compact_policy(
    *,
    endpoint: str,
    generation: int,
    policy: RoutingPolicy,
    served: Sequence[Served],
    slots: Sequence[Run],
) -> str:
    """The text of `policy.txt`.

    Args:
        endpoint: public name, the label of the router's metrics.
        generation: of the endpoint's intent; shown by the router, never acted on.
        served: one for each arm, in the policy's order.
        slots: the slot table run by run.

    Raises:
        ValueError: the runs do not fill the slots.
    """
    if sum(count for _, count in slots) != SLOTS:
        raise ValueError(f"the table must fill {SLOTS} slots")
    lines = [*_head(endpoint, generation)]
    for arm, one in zip(policy.arms, served, strict=True):
        lines.append(" ".join(_arm_words(arm, one, policy)))
    lines += _allowances(policy, served)
    lines.append("slots " + " ".join(f"{index}:{count}" for index, count in slots))
    lines += _for_requests(policy, endpoint)
    lines += _for_trouble(policy)
    return "\n".join(lines) + "\n"


def with_spent_allowances(text: str, grants: Collection[str]) -> str:
    """The text of a `policy.txt` with nothing left of these grants.

    >>> with_spent_allowances("allowance 1 grant a-1 attempts 9 failures - until_ms -\\n", {"a-1"})
    'allowance 1 grant a-1 attempts 0 failures - until_ms -\\n'
    """
    return "\n".join(_spent(line, grants) for line in text.split("\n"))


def pinned_policy(
    *, endpoint: str, generation: int, arm: Arm, physical: str, policy: RoutingPolicy
) -> str:
    """The text for a version that callers reach by its number: that arm and no other."""
    words = ["arm", physical, "primary"]
    if arm.max_in_flight is not None:
        words += ["max_in_flight", str(arm.max_in_flight), "overflow", "reject"]
    if arm.timeout is not None:
        words += ["timeout_us", str(arm.timeout)]
    lines = [*_head(endpoint, generation), " ".join(words), f"slots 0:{SLOTS}", _sequences(policy)]
    return "\n".join(lines) + "\n"


def text_word(text: str) -> str:
    """A text as one word: percent-encoded, and two quotes where there is nothing.

    >>> text_word("a b/ä"), text_word("")
    ('a%20b%2F%C3%A4', '""')
    """
    return quote(text, safe="") or '""'


def decimal_word(value: float) -> str:
    """A number without sign and exponent.

    >>> decimal_word(1.0), decimal_word(0.02), decimal_word(1e-07)
    ('1', '0.02', '0.0000001')
    """
    word = f"{Decimal(repr(value)):f}"
    return word.rstrip("0").rstrip(".") if "." in word else word


def _spent(line: str, grants: Collection[str]) -> str:
    words = line.split(" ")
    if words[0] == "allowance" and words[3] in grants:
        words[5] = "0"
    return " ".join(words)


def _head(endpoint: str, generation: int) -> tuple[str, str, str]:
    return "nereid-traffic 1", f"endpoint {endpoint}", f"generation {generation}"


def _arm_words(arm: Arm, served: Served, policy: RoutingPolicy) -> Iterator[str]:
    yield f"arm {served.physical}"
    if arm.primary:
        yield "primary"
    if arm.cost:
        yield f"cost {decimal_word(arm.cost)}"
    if arm.accuracy is not None:
        yield f"accuracy {decimal_word(arm.accuracy)}"
    if policy.objective:
        yield f"capacity {served.capacity}"
    if arm.max_in_flight is not None:
        yield f"max_in_flight {arm.max_in_flight}"
    if arm.overflow is None:
        yield "overflow reject"
    elif arm.overflow != OVERFLOW_TO_PRIMARY:
        yield f"overflow {policy.index(arm.overflow)}"
    if arm.timeout is not None:
        yield f"timeout_us {arm.timeout}"


def _allowances(policy: RoutingPolicy, served: Sequence[Served]) -> Iterator[str]:
    for i, (arm, one) in enumerate(zip(policy.arms, served, strict=True)):
        if allowance := arm.allowance:
            yield (
                f"allowance {i} grant {one.grant} attempts {_or_dash(allowance.attempts)} "
                f"failures {_or_dash(allowance.failures)} until_ms {_or_dash(allowance.until)}"
            )


def _for_requests(policy: RoutingPolicy, endpoint: str) -> Iterator[str]:
    if sticky := policy.sticky:
        salt = text_word(sticky.salt_at(endpoint))
        named = "" if sticky.source is Source.SEQUENCE else f" {text_word(sticky.name)}"
        yield f"sticky {sticky.source}{named} salt {salt}"
    for rule in policy.rules:
        first, *others = rule.conditions
        yield f"rule {policy.index(rule.arm)} {_condition(first)}"
        for other in others:
            yield f"and {_condition(other)}"
    for shadow in policy.shadows:
        compare = f" compare {text_word(shadow.compare)}" if shadow.compare is not None else ""
        yield (
            f"shadow {policy.index(shadow.arm)} parts {shadow.parts} "
            f"max_in_flight {shadow.max_in_flight}{compare}"
        )
    if confidence := policy.confidence:
        yield f"confidence {text_word(confidence.output)} scores {confidence.scores}"


def _for_trouble(policy: RoutingPolicy) -> Iterator[str]:
    if policy.breaker:
        yield _breaker(policy.breaker)
    if start := policy.slow_start:
        yield f"slow_start window_us {start.window} aggression {decimal_word(start.aggression)}"
    if policy.rescue.enabled:
        yield f"rescue budget {policy.rescue.budget_parts} floor {policy.rescue.floor}"
    if objective := policy.objective:
        weights = " ".join(
            f"{name} {decimal_word(getattr(objective, name))}"
            for name in ("alpha", "beta", "gamma", "delta")
        )
        yield f"objective {weights} explore {objective.explore_parts}"
    yield _sequences(policy)


def _sequences(policy: RoutingPolicy) -> str:
    return f"sequences {policy.sequences.on_change} idle_us {policy.sequences.idle}"


def _breaker(breaker: Breaker) -> str:
    latency = "" if breaker.latency is None else f" latency_us {breaker.latency}"
    return (
        f"breaker consecutive {breaker.consecutive_failures} rate {breaker.failure_parts} "
        f"min_requests {breaker.min_requests} window_us {breaker.window} "
        f"open_us {breaker.open} max_open_us {breaker.max_open}{latency}"
    )


def _condition(condition: Condition) -> str:
    values = " ".join(text_word(value) for value in condition.values)
    return f"{condition.source} {text_word(condition.name)} {condition.match} {values}"


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)

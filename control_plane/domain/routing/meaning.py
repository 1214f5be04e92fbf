"""What a routing policy means: which arm a request goes to.

The native router (backends/traffic/decide.cc) decides the same in nanoseconds; this is what it is
tested against. Nothing here has a clock, counts or draws: what a decision depends on is given.
Everything that goes by turns is a number that the caller counts up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import xxhash

from control_plane.domain.routing.policy import (
    SLOTS,
    Arm,
    Condition,
    Match,
    Objective,
    RoutingPolicy,
    SlowStart,
    Source,
    Sticky,
)

LEAST_RAMP_SHARE = 0.10

_GOLDEN = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio."""


@dataclass(frozen=True)
class Request:
    """What a policy may look at.

    `parameters` in the caller's order and spelling; forwarded headers are among them. `sequence`
    is the correlation id in words, None for a request of no sequence.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    sequence: str | None = None


@dataclass(frozen=True)
class ArmState:
    """What is known of one arm at the moment of a decision.

    Attributes:
        passes_breaker: the breaker is closed, or half-open with no probe on its way.
        allowance_refuses: attempts or failures are used up, every failure that is left is reserved
            by attempts under way, or the deadline has passed.
        ramp_elapsed: microseconds since a slow start began, None when none is running.
        thinned: unsticky requests that a slow start has judged so far.
        in_flight: requests the arm is working on.
        latency: the peak-EWMA in any unit that the arms share, 0 when unmeasured.
    """

    passes_breaker: bool = True
    allowance_refuses: bool = False
    ramp_elapsed: int | None = None
    thinned: int = 0
    in_flight: int = 0
    latency: float = 0.0

    @property
    def admitted(self) -> bool:
        return self.passes_breaker and not self.allowance_refuses


@dataclass(frozen=True)
class Turns:
    """Whose turn it is: `slot` is what the shuffled cycle gives next.

    `decisions` and `explorations` count what adaptive mode decided and explored so far.
    """

    slot: int = 0
    decisions: int = 0
    explorations: int = 0


class Diverted(StrEnum):
    """Why a request does not go where it was chosen to."""

    NO = "no"
    BREAKER = "breaker"
    ALLOWANCE = "allowance"
    SLOW_START = "slow start"
    OVERFLOW = "overflow"


@dataclass(frozen=True)
class Decision:
    """Places in the policy; rejected: `arm` had no room, nor had its overflow arm."""

    arm: int
    chosen: int
    diverted: Diverted = Diverted.NO
    rejected: bool = False


@dataclass(frozen=True)
class Endpoint:
    """A policy with what it is in force with: the slot table (arm by slot) and capacities."""

    name: str
    policy: RoutingPolicy
    table: Sequence[int]
    capacities: Sequence[int]

    @property
    def primary(self) -> int:
        return self.policy.index(self.policy.primary.name)


def decide(
    endpoint: Endpoint, request: Request, states: Sequence[ArmState], turns: Turns
) -> Decision:
    """Where the request goes; a live sequence never gets here, it stays where it is."""
    policy = endpoint.policy
    key: bytes | None = None
    by_rule = matching_rule(policy, request)
    if by_rule is not None:
        chosen = by_rule
    elif policy.objective:
        chosen = best_arm(endpoint, policy.objective, states, turns)
    elif (key := sticky_key(policy.sticky, request)) is not None:
        chosen = endpoint.table[slot_of(key, salt(endpoint))]
    else:
        chosen = endpoint.table[turns.slot]

    diverted = Diverted.NO
    if chosen != endpoint.primary:
        state = states[chosen]
        if not state.passes_breaker:
            diverted = Diverted.BREAKER
        elif state.allowance_refuses:
            diverted = Diverted.ALLOWANCE
        elif by_rule is None and not _ramp_lets(endpoint, state, key):
            diverted = Diverted.SLOW_START
    arm = chosen if diverted is Diverted.NO else endpoint.primary
    return _with_limits(endpoint, states, Decision(arm, chosen, diverted))


def _with_limits(endpoint: Endpoint, states: Sequence[ArmState], decision: Decision) -> Decision:
    policy = endpoint.policy
    arm = policy.arms[decision.arm]
    if _has_room(arm, states[decision.arm]):
        return decision
    name = policy.overflow_of(arm)
    if name is not None:
        other = policy.index(name)
        admitted = other == endpoint.primary or states[other].admitted
        if admitted and _has_room(policy.arms[other], states[other]):
            return Decision(other, decision.chosen, Diverted.OVERFLOW)
    return Decision(decision.arm, decision.chosen, decision.diverted, rejected=True)


def _has_room(arm: Arm, state: ArmState) -> bool:
    return arm.max_in_flight is None or state.in_flight < arm.max_in_flight


def matching_rule(policy: RoutingPolicy, request: Request) -> int | None:
    """The place of the arm of the first rule all of whose conditions hold."""
    for rule in policy.rules:
        if all(_holds(condition, request) for condition in rule.conditions):
            return policy.index(rule.arm)
    return None


def _holds(condition: Condition, request: Request) -> bool:
    value = _attribute(condition.source, condition.name, request)
    if value is None:
        return False
    if condition.match is Match.PREFIX:
        return value.startswith(condition.values[0])
    return value in condition.values


def _attribute(source: Source, name: str, request: Request) -> str | None:
    if source is Source.SEQUENCE:
        return request.sequence
    if source is Source.PARAMETER:
        return request.parameters.get(name)
    return next(
        (value for known, value in request.parameters.items() if _ascii_lower(known) == name), None
    )


def _ascii_lower(name: str) -> str:
    # Header names are ASCII: lower() alone would also make a Kelvin sign a k.
    return "".join(letter.lower() if letter.isascii() else letter for letter in name)


def sticky_key(sticky: Sticky | None, request: Request) -> bytes | None:
    """The bytes that a request is recognised by, None where it has none."""
    value = _attribute(sticky.source, sticky.name, request) if sticky else None
    return None if value is None else value.encode()


def salt(endpoint: Endpoint) -> str:
    """The salt in force; only for policies with a sticky key."""
    return endpoint.policy.sticky.salt_at(endpoint.name) if endpoint.policy.sticky else ""


def slot_of(key: bytes, salt: str) -> int:
    """XXH64 of the key, seeded with XXH64 of the salt, scaled to the slots.

    >>> slot_of(b"user-1", "digits") == slot_of(b"user-1", "digits")
    True
    """
    seed = xxhash.xxh64_intdigest(salt.encode())
    return (xxhash.xxh64_intdigest(key, seed) * SLOTS) >> 64


def thinning_place(key: bytes, salt: str) -> float:
    """Where in [0, 1) a key stands in a slow start: by a second hash, apart from its slot."""
    seed = xxhash.xxh64_intdigest(salt.encode()) ^ _GOLDEN
    return float(xxhash.xxh64_intdigest(key, seed)) / 2.0**64


def evenly_spread(n: int) -> float:
    """The fraction of n * golden ratio: of any stretch of n, nearly exactly f fall below f.

    >>> [round(evenly_spread(n), 3) for n in range(4)]
    [0.0, 0.618, 0.236, 0.854]
    """
    return float(n * _GOLDEN % 2**64) / 2.0**64


def ramp_share(rule: SlowStart, elapsed: int) -> float:
    """The part of its share that an arm gets: max(0.10, (t / window)^(1 / aggression)).

    Envoy's slow start; t and window in microseconds; 1 from the window's end on.

    >>> ramp_share(SlowStart(window=10, aggression=1.0), 5)
    0.5
    """
    if elapsed >= rule.window:
        return 1.0
    grown: float = (elapsed / rule.window) ** (1 / rule.aggression)
    return max(LEAST_RAMP_SHARE, grown)


def _ramp_lets(endpoint: Endpoint, state: ArmState, key: bytes | None) -> bool:
    rule = endpoint.policy.slow_start
    if rule is None or state.ramp_elapsed is None:
        return True
    share = ramp_share(rule, state.ramp_elapsed)
    if share >= 1:
        return True
    if key is None:
        return evenly_spread(state.thinned) < share
    return thinning_place(key, salt(endpoint)) < share


def best_arm(
    endpoint: Endpoint, objective: Objective, states: Sequence[ArmState], turns: Turns
) -> int:
    """The arm that adaptive mode chooses: the lowest score, or now and then the next in turn."""
    candidates = [
        arm
        for arm in sorted(set(endpoint.table))
        if arm == endpoint.primary or states[arm].admitted
    ]
    if not candidates:
        return endpoint.primary
    if evenly_spread(turns.decisions) * SLOTS < objective.explore_parts:
        return candidates[turns.explorations % len(candidates)]
    scored = scores(endpoint, objective, candidates, states)
    first = turns.decisions % len(candidates)
    return min(candidates[first:] + candidates[:first], key=scored.__getitem__)


def scores(
    endpoint: Endpoint,
    objective: Objective,
    candidates: Sequence[int],
    states: Sequence[ArmState],
) -> dict[int, float]:
    """alpha * latency + beta * cost + gamma * load + delta * accuracy loss, each within [0, 1].

    Latency and cost are parts of the largest among the candidates, load is in-flight per
    capacity, the loss is relative to the best accuracy (none for an arm without one). An arm that
    was not measured yet counts as slow as those that were, on average: neither the best nor the
    worst is assumed of it.
    """
    arms = endpoint.policy.arms
    measured = [states[i].latency for i in candidates if states[i].latency > 0]
    slowest = max(measured, default=0.0)
    typical = sum(measured) / len(measured) if measured else 0.0
    dearest = max(arms[i].cost for i in candidates)
    best = max(arms[i].accuracy or 0.0 for i in candidates)
    found = {}
    for i in candidates:
        accuracy = arms[i].accuracy
        latency = (states[i].latency or typical) / slowest if slowest > 0 else 0.0
        cost = arms[i].cost / dearest if dearest > 0 else 0.0
        load = min(1.0, states[i].in_flight / endpoint.capacities[i])
        loss = (best - accuracy) / best if best > 0 and accuracy is not None else 0.0
        found[i] = (
            objective.alpha * latency
            + objective.beta * cost
            + objective.gamma * load
            + objective.delta * loss
        )
    return found

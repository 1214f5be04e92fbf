"""The native router decides what the Python meaning says: from document to arm, the whole way."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from control_plane.domain.routing import meaning
from control_plane.domain.routing.compact import Served, compact_policy
from control_plane.domain.routing.document import parse_policy
from control_plane.domain.routing.policy import SLOTS, RoutingPolicy
from control_plane.domain.routing.slots import next_table, runs
from tests.support.routing import BreakerState, Judgement, NativeEndpoint, NativeRouter, Text
from tests.support.routing_parts import parts

ENDPOINT = "digits"
SECOND = 1_000_000_000
ARMS = ("stable", "candidate", "third", "fourth")

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
_HEADER = st.sampled_from(["x-user-id", "x-tenant-id", "x-request-group"])
_NAME = st.sampled_from(["user", "User", "region", "x-user-id", "größe"])
_VALUE = st.one_of(st.sampled_from(["acme", "eu-1", "true", "7", ""]), _TEXT)


@st.composite
def weights(draw: st.DrawFn, count: int) -> list[int]:
    """Parts of 10,000 that fill the slots."""
    cuts = sorted(draw(st.lists(st.integers(0, SLOTS), min_size=count - 1, max_size=count - 1)))
    edges = [0, *cuts, SLOTS]
    return [after - before for before, after in pairwise(edges)]


@st.composite
def rule(draw: st.DrawFn, arms: int) -> dict[str, Any]:
    when: dict[str, Any] = {}
    for _ in range(draw(st.integers(1, 2))):
        where = draw(st.one_of(_HEADER.map("header:{}".format), _NAME.map("parameter:{}".format)))
        test = draw(st.sampled_from(["equals", "in", "prefix"]))
        value = draw(_VALUE)
        when[where] = {test: [value, draw(_VALUE)] if test == "in" else value}
    return {"when": when, "arm": ARMS[draw(st.integers(0, arms - 1))]}


@st.composite
def documents(draw: st.DrawFn, *, adaptive: bool = False) -> dict[str, Any]:
    """Any policy that chooses: of keys, rules, limits, overflow, slow start or an objective."""
    count = draw(st.integers(1, len(ARMS)))
    shares = draw(weights(count))
    primary = draw(st.integers(0, count - 1))
    arms = []
    for i, share in enumerate(shares):
        arm: dict[str, Any] = {"name": ARMS[i], "model": ENDPOINT, "version": i + 1}
        arm |= {"weight": share / 100, "primary": i == primary}
        if draw(st.booleans()):
            arm["max_in_flight"] = draw(st.integers(1, 4))
        if draw(st.booleans()) and count > 1:
            others = [ARMS[j] for j in range(count) if j != i]
            arm["overflow"] = draw(st.sampled_from([None, *others]))
        if draw(st.booleans()):
            arm |= {"cost": draw(st.integers(0, 9)) / 4, "accuracy": draw(st.integers(0, 8)) / 8}
        if i != primary and draw(st.booleans()):
            of = draw(st.sampled_from(["attempts", "failures"]))
            arm["allowance"] = {of: draw(st.integers(1, 5))}
        arms.append(arm)
    document: dict[str, Any] = {"arms": arms, "rules": draw(st.lists(rule(count), max_size=3))}
    if draw(st.booleans()):
        document["slow_start"] = {"window": "10s", "aggression": draw(st.integers(1, 6)) / 2}
    if adaptive:
        names = ("alpha", "beta", "gamma", "delta")
        objective = {name: draw(st.integers(0, 8)) / 4 for name in names}
        assume(sum(objective.values()))
        explore = draw(st.sampled_from([0, 0.02, 0.5, 1]))
        return document | {"mode": "adaptive", "objective": objective | {"explore": explore}}
    source = draw(st.sampled_from(["", "sequence", "header:x-user-id", "parameter:user"]))
    if source:
        document["sticky"] = {"key": source}
        if draw(st.booleans()):
            document["sticky"]["salt"] = draw(_TEXT.filter(bool))
    return document


@st.composite
def requests(draw: st.DrawFn) -> meaning.Request:
    parameters = {}
    for _ in range(draw(st.integers(0, 4))):
        name = draw(st.one_of(_NAME, _HEADER, _HEADER.map(str.upper), _HEADER.map(str.title)))
        parameters[name] = draw(_VALUE)
    return meaning.Request(parameters, draw(st.one_of(st.none(), st.sampled_from(["7", "a b"]))))


def in_force(policy: RoutingPolicy) -> meaning.Endpoint:
    table = [arm for arm, count in runs(next_table(policy), policy) for _ in range(count)]
    return meaning.Endpoint(ENDPOINT, policy, table, [4] * len(policy.arms))


def physical(version: int) -> str:
    return f"{ENDPOINT}.v{version}.abcdef"


class Both:
    """One policy, native and in Python, with states that are kept alike."""

    def __init__(self, document: dict[str, Any], *, ramping: bool = False) -> None:
        self.policy = parse_policy(document)
        self.python = in_force(self.policy)
        served = [
            Served(physical(arm.version), 4, "g" if arm.allowance else "")
            for arm in self.policy.arms
        ]
        text = compact_policy(
            endpoint=ENDPOINT,
            generation=1,
            policy=self.policy,
            served=served,
            slots=runs(next_table(self.policy), self.policy),
        )
        endpoint = NativeEndpoint()
        if ramping:
            NativeRouter(
                f"nereid-traffic 1\nendpoint {ENDPOINT}\ngeneration 0\n"
                "arm other primary\nslots 0:10000\n",
                endpoint=endpoint,
            )
        self.native = NativeRouter(text, endpoint=endpoint, now_ns=SECOND)
        self.cycle = self.native.pick(4 * SLOTS)  # the same turns as the decisions will take
        self.unsticky = self.decisions = self.explorations = 0

    def states(self, now_ns: int) -> list[meaning.ArmState]:
        """The native states as values."""
        found = []
        for index in range(len(self.policy.arms)):
            state = self.native.state(index)
            found.append(
                meaning.ArmState(
                    passes_breaker=state.breaker == BreakerState.CLOSED,
                    allowance_refuses=not state.allowance_gives,
                    ramp_elapsed=(now_ns - state.ramp_from_ns) // 1_000
                    if state.ramp_from_ns
                    else None,
                    thinned=state.turn,
                    in_flight=state.in_flight,
                    latency=state.latency_ns,
                )
            )
        return found

    def expected(self, request: meaning.Request, now_ns: int) -> meaning.Decision:
        states = self.states(now_ns)
        slot = self.python.table.index(self.cycle[self.unsticky])  # any slot of that arm
        turns = meaning.Turns(slot, self.decisions, self.explorations)
        if meaning.matching_rule(self.policy, request) is None:
            if self.policy.objective:
                self._count_adaptive(states)
            elif meaning.sticky_key(self.policy.sticky, request) is None:
                self.unsticky += 1
        return meaning.decide(self.python, request, states, turns)

    def _count_adaptive(self, states: list[meaning.ArmState]) -> None:
        primary = self.python.primary
        if not any(arm == primary or states[arm].admitted for arm in set(self.python.table)):
            return
        explored = meaning.evenly_spread(self.decisions) * SLOTS
        self.explorations += explored < self.policy.objective.explore_parts
        self.decisions += 1

    def agree_on(self, request: meaning.Request, now_ns: int, *, judgement: Judgement) -> None:
        expected = self.expected(request, now_ns)
        made = self.native.decide(request.parameters, sequence=request.sequence, now_ns=now_ns)
        diverted = made.diverted.name.lower().replace("_", " ")
        assert (made.arm, made.chosen, diverted, made.rejected) == (
            expected.arm,
            expected.chosen,
            expected.diverted,
            expected.rejected,
        )
        if not made.rejected and judgement is not Judgement.NOTHING:
            self.native.end(made, judgement, latency_ns=now_ns % 7_919 + 1, now_ns=now_ns)


_CALLS = st.lists(
    st.tuples(requests(), st.integers(0, 4 * SECOND), st.sampled_from(Judgement)),
    min_size=1,
    max_size=25,
)


@settings(max_examples=120, deadline=None)
@given(documents(), _CALLS, st.booleans())
def test_weights_keys_rules_and_gates(
    document: dict[str, Any],
    calls: list[tuple[meaning.Request, int, Judgement]],
    ramping: bool,
) -> None:
    """NOTHING leaves a request in flight: so that limits are met too."""
    both = Both(document, ramping=ramping)
    now = SECOND
    for request, wait, judgement in calls:
        now += wait // 1_000 * 1_000
        both.agree_on(request, now, judgement=_unless_ejecting(judgement))


def _unless_ejecting(judgement: Judgement) -> Judgement:
    """Breakers have a time of their own: their timeline is tested by itself."""
    return Judgement.GOOD if judgement is Judgement.BAD else judgement


@settings(max_examples=120, deadline=None)
@given(documents(adaptive=True), _CALLS)
def test_adaptive(
    document: dict[str, Any], calls: list[tuple[meaning.Request, int, Judgement]]
) -> None:
    both = Both(document)
    now = SECOND
    for request, wait, judgement in calls:
        now += wait // 1_000 * 1_000
        both.agree_on(request, now, judgement=_unless_ejecting(judgement))


@pytest.mark.parametrize("mode", ["weighted", "adaptive"])
def test_an_ejected_arm(mode: str) -> None:
    document: dict[str, Any] = {
        "arms": [
            {"name": "stable", "model": ENDPOINT, "version": 1, "weight": 50, "primary": True},
            {"name": "candidate", "model": ENDPOINT, "version": 2, "weight": 50},
        ],
        "breaker": {"consecutive_failures": 1},
    }
    if mode == "adaptive":
        document |= {"mode": "adaptive", "objective": {"alpha": 1, "explore": 0.5}}
    both = Both(document)
    for _ in range(60):  # at one moment: once open, it stays open
        both.agree_on(meaning.Request(), SECOND, judgement=Judgement.BAD)
    assert both.native.state(1).breaker == BreakerState.OPEN


@given(st.binary(max_size=40), _TEXT)
def test_the_same_key_has_the_same_slot_and_the_same_place(key: bytes, salt: str) -> None:
    seed = parts().nereid_xxh64(Text.of(salt), 0)
    assert parts().nereid_slot_of(parts().nereid_xxh64(Text.of(key), seed)) == meaning.slot_of(
        key, salt
    )
    thinned = parts().nereid_xxh64(Text.of(key), seed ^ 0x9E3779B97F4A7C15)
    assert thinned / 2**64 == meaning.thinning_place(key, salt)

"""The whole policy document: what is read, what is refused and how, and the way back to JSON."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.routing.document import parse_policy, to_document
from control_plane.domain.routing.headers import ForwardedHeaders
from control_plane.domain.routing.policy import (
    Allowance,
    Breaker,
    Condition,
    Match,
    Objective,
    Rescue,
    Source,
    Sticky,
)
from control_plane.domain.violations import InvalidInputError
from tests.support.policies import documents

OURS = ForwardedHeaders()


def split(**more: Any) -> dict[str, Any]:
    """90/10 over two versions, with `more` fields beside the arms."""
    arms = [
        {"name": "stable", "model": "digits", "version": 1, "weight": 90, "primary": True},
        {"name": "candidate", "model": "digits", "version": 2, "weight": 10},
    ]
    return {"arms": arms, **more}


def with_arm(place: int = 1, **more: Any) -> dict[str, Any]:
    document = split()
    document["arms"][place] |= more
    return document


def broken(document: object) -> dict[str, tuple[str, str]]:
    """Pointer -> (code, detail) of the violations."""
    with pytest.raises(InvalidInputError) as caught:
        parse_policy(document, OURS)
    return {v.pointer: (v.code, v.detail) for v in caught.value.violations}


def test_breaker_and_rescue_are_on_and_null_switches_them_off() -> None:
    policy = parse_policy(split())
    assert (policy.breaker, policy.rescue) == (Breaker(), Rescue())
    assert (policy.slow_start, policy.sticky, policy.objective) == (None, None, None)
    off = parse_policy(split(breaker=None, rescue=None))
    assert (off.breaker, off.rescue.enabled) == (None, False)


def test_every_default_in_force_is_shown() -> None:
    document = to_document(parse_policy(split()))
    assert document["breaker"] == {
        "consecutive_failures": 5,
        "failure_rate": 0.5,
        "min_requests": 20,
        "window": "10s",
        "open": "30s",
        "max_open": "300s",
    }
    assert document["rescue"] == {"enabled": True, "budget_percent": 20, "floor": 3}
    assert document["sequences"] == {"on_change": "finish", "idle": "60s"}
    assert (document["mode"], document["slow_start"]) == ("weighted", None)


def test_an_arm_with_everything() -> None:
    arm = parse_policy(
        with_arm(
            cost=1.5,
            accuracy=0.98,
            max_in_flight=64,
            capacity=32,
            overflow=None,
            timeout="500ms",
            allowance={"attempts": 100, "failures": 5, "until": "2026-11-24T14:00:00+01:00"},
        )
    ).arms[1]
    assert (arm.cost, arm.accuracy, arm.max_in_flight, arm.capacity) == (1.5, 0.98, 64, 32)
    assert (arm.overflow, arm.timeout) == (None, 500_000)
    assert arm.allowance == Allowance(100, 5, 1_795_525_200_000)


def test_an_allowance_may_be_given_to_some_servers_alone() -> None:
    policy = parse_policy(with_arm(allowance={"failures": 5, "servers": ["b", "a", "b"]}))
    assert policy.arms[1].allowance == Allowance(failures=5, servers=("b", "a"))
    assert parse_policy(to_document(policy)) == policy


def test_overflow_follows_the_primary_unless_it_is_said() -> None:
    policy = parse_policy(with_arm(0, overflow="candidate"))
    stable, candidate = policy.arms
    assert policy.overflow_of(stable) == "candidate"
    assert policy.overflow_of(candidate) == "stable"
    assert "overflow" not in to_document(policy)["arms"][1]
    assert policy.overflow_of(parse_policy(split()).arms[0]) is None


def test_rules_become_conditions_with_header_names_in_lower_case() -> None:
    when = {
        "header:X-Tenant-Id": {"in": ["acme", 7, True]},
        "parameter:Region": {"prefix": "eu-", "equals": "eu-west"},
    }
    policy = parse_policy(split(rules=[{"when": when, "arm": "candidate"}]), OURS)
    assert policy.rules[0].conditions == (
        Condition(Source.HEADER, "x-tenant-id", Match.IN, ("acme", "7", "true")),
        Condition(Source.PARAMETER, "Region", Match.EQUALS, ("eu-west",)),
        Condition(Source.PARAMETER, "Region", Match.PREFIX, ("eu-",)),
    )


@pytest.mark.parametrize(
    ("sticky", "expected"),
    [
        ({"key": "header:X-User-Id"}, Sticky(Source.HEADER, "x-user-id")),
        ({"key": "parameter:user", "salt": ""}, Sticky(Source.PARAMETER, "user", "")),
        ({"key": "sequence", "salt": "s"}, Sticky(Source.SEQUENCE, "", "s")),
    ],
)
def test_sticky_keys(sticky: dict[str, str], expected: Sticky) -> None:
    assert parse_policy(split(sticky=sticky), OURS).sticky == expected


def test_the_salt_is_the_endpoints_name_unless_there_is_one() -> None:
    assert Sticky(Source.SEQUENCE).salt_at("digits") == "digits"
    assert Sticky(Source.SEQUENCE, salt="").salt_at("digits") == ""


def test_numbers_that_were_computed_are_rounded_to_what_the_router_holds() -> None:
    policy = parse_policy(with_arm(cost=0.1 + 0.2, accuracy=1e-12))
    assert (policy.arms[1].cost, policy.arms[1].accuracy) == (0.3, 0)


@pytest.mark.parametrize("count", [1, 3, 7])
def test_adaptive_arms_without_weights_share_evenly(count: int) -> None:
    arms = [{"model": "digits", "version": i + 1, "primary": i == 0} for i in range(count)]
    policy = parse_policy({"arms": arms, "mode": "adaptive", "objective": {"alpha": 1}})
    weights = [arm.weight for arm in policy.arms]
    assert sum(weights) == 10_000
    assert max(weights) - min(weights) <= 1
    assert policy.mode == "adaptive"


SHADOW = {"arm": "candidate", "percent": 20}
RULE = {"when": {"header:x-user-id": {"equals": "ada"}}, "arm": "candidate"}


@pytest.mark.parametrize(
    ("document", "pointer", "code"),
    [
        (with_arm(cost=-1), "/arms/1/cost", "range"),
        (with_arm(cost=float("nan")), "/arms/1/cost", "range"),
        (with_arm(cost=10**400), "/arms/1/cost", "range"),
        (with_arm(accuracy=1.01), "/arms/1/accuracy", "range"),
        (with_arm(max_in_flight=0), "/arms/1/max_in_flight", "invalid"),
        (with_arm(capacity=True), "/arms/1/capacity", "invalid"),
        (with_arm(timeout=500), "/arms/1/timeout", "invalid"),
        (with_arm(timeout="1h30m"), "/arms/1/timeout", "invalid"),
        (with_arm(timeout="0.5us"), "/arms/1/timeout", "invalid"),
        (with_arm(timeout="0s"), "/arms/1/timeout", "range"),
        (with_arm(overflow="other"), "/arms/1/overflow", "unknown_arm"),
        (with_arm(overflow="candidate"), "/arms/1/overflow", "unknown_arm"),
        (with_arm(overflow=7), "/arms/1/overflow", "type"),
        (with_arm(overflow=""), "/arms/1/overflow", "type"),
        (with_arm(allowance={}), "/arms/1/allowance", "required"),
        (with_arm(allowance={"grant": "again"}), "/arms/1/allowance", "required"),
        (with_arm(allowance={"servers": ["a"]}), "/arms/1/allowance", "required"),
        (
            with_arm(allowance={"failures": 1, "servers": ["no name"]}),
            "/arms/1/allowance/servers/0",
            "invalid_name",
        ),
        (with_arm(allowance={"attempts": 1, "grant": ""}), "/arms/1/allowance/grant", "invalid"),
        (with_arm(allowance={"attempts": 1, "grant": " "}), "/arms/1/allowance/grant", "invalid"),
        (with_arm(allowance={"attempts": 1, "grant": "b "}), "/arms/1/allowance/grant", "invalid"),
        (
            with_arm(allowance={"attempts": 1, "grant": "b\nc"}),
            "/arms/1/allowance/grant",
            "invalid",
        ),
        (with_arm(allowance={"attempts": 1, "grant": 7}), "/arms/1/allowance/grant", "type"),
        (with_arm(allowance=5), "/arms/1/allowance", "type"),
        (with_arm(allowance={"attempts": 0}), "/arms/1/allowance/attempts", "invalid"),
        (with_arm(allowance={"until": "2026-01-01"}), "/arms/1/allowance/until", "invalid"),
        (
            with_arm(allowance={"until": "2026-13-01T00:00:00Z"}),
            "/arms/1/allowance/until",
            "invalid",
        ),
        (with_arm(allowance={"until": "1969-12-31T23:59:59Z"}), "/arms/1/allowance/until", "range"),
        (with_arm(0, allowance={"attempts": 5}), "/arms/0/allowance", "primary"),
        (split(mode="random"), "/mode", "invalid"),
        (split(mode=[]), "/mode", "invalid"),
        (split(mode="adaptive"), "/objective", "required"),
        (split(objective={"alpha": 1}), "/objective", "mode"),
        (split(mode="adaptive", objective={"alpha": 0}), "/objective", "required"),
        (split(mode="adaptive", objective={"alpha": "1"}), "/objective/alpha", "range"),
        (
            split(mode="adaptive", objective={"alpha": 1, "explore": 1.5}),
            "/objective/explore",
            "range",
        ),
        (
            split(mode="adaptive", objective={"alpha": 1, "explore": 0.0009}),
            "/objective/explore",
            "range",
        ),
        (
            split(mode="adaptive", objective={"alpha": 1}, sticky={"key": "sequence"}),
            "/sticky",
            "mode",
        ),
        (split(sticky="sequence"), "/sticky", "type"),
        (split(sticky={}), "/sticky/key", "invalid"),
        (split(sticky={"key": "cookie:x"}), "/sticky/key", "invalid"),
        (split(sticky={"key": "header:"}), "/sticky/key", "invalid"),
        (split(sticky={"key": "header:a b"}), "/sticky/key", "not_forwarded"),
        (split(sticky={"key": "header:x-forwarded-for"}), "/sticky/key", "not_forwarded"),
        (split(sticky={"key": "header:Authorization"}), "/sticky/key", "not_forwarded"),
        (split(sticky={"key": "parameter:sequence_id"}), "/sticky/key", "not_forwarded"),
        (split(sticky={"key": "sequence", "salt": "\0"}), "/sticky/salt", "invalid"),
        (split(sticky={"key": "sequence", "salt": "\ud800"}), "/sticky/salt", "invalid"),
        (split(rules={}), "/rules", "type"),
        (split(rules=[RULE] * 101), "/rules", "too_many"),
        (split(rules=[7]), "/rules/0", "type"),
        (split(rules=[{**RULE, "arm": "other"}]), "/rules/0/arm", "unknown_arm"),
        (split(rules=[{**RULE, "arm": {}}]), "/rules/0/arm", "unknown_arm"),
        (split(rules=[{**RULE, "when": {}}]), "/rules/0/when", "required"),
        (
            split(rules=[{**RULE, "when": {"header:cookie": {"equals": "x"}}}]),
            "/rules/0/when/header:cookie",
            "not_forwarded",
        ),
        (
            split(rules=[{**RULE, "when": {"parameter:a/b": {"matches": "x"}}}]),
            "/rules/0/when/parameter:a~1b/matches",
            "unknown",
        ),
        (
            split(rules=[{**RULE, "when": {"parameter:a": {"in": []}}}]),
            "/rules/0/when/parameter:a/in",
            "type",
        ),
        (
            split(rules=[{**RULE, "when": {"parameter:a": {"equals": 1.5}}}]),
            "/rules/0/when/parameter:a/equals",
            "type",
        ),
        (
            split(rules=[{**RULE, "when": {"parameter:a": "x"}}]),
            "/rules/0/when/parameter:a",
            "required",
        ),
        (
            split(
                rules=[
                    {
                        "when": {
                            "header:x-user-id": {"equals": "a"},
                            "header:X-User-Id": {"equals": "b"},
                        },
                        "arm": "stable",
                    }
                ]
            ),
            "/rules/0/when/header:X-User-Id",
            "duplicate",
        ),
        (split(shadow=[{**SHADOW, "arm": "stable"}]), "/shadow/0/arm", "primary"),
        (split(shadow=[SHADOW, SHADOW]), "/shadow/1/arm", "duplicate"),
        (split(shadow=[{"arm": "candidate"}]), "/shadow/0/percent", "required"),
        (split(shadow=[{**SHADOW, "percent": 0.001}]), "/shadow/0/percent", "precision"),
        (split(shadow=[{**SHADOW, "max_in_flight": 0}]), "/shadow/0/max_in_flight", "invalid"),
        (split(breaker=True), "/breaker", "type"),
        (split(breaker={"consecutive_failures": 0, "failure_rate": 0}), "/breaker", "required"),
        (split(breaker={"open": "60s", "max_open": "30s"}), "/breaker/max_open", "range"),
        (split(breaker={"failure_rate": 0.00001}), "/breaker/failure_rate", "precision"),
        (split(slow_start={"aggression": 0}), "/slow_start/aggression", "range"),
        (split(rescue={"enabled": "yes"}), "/rescue/enabled", "type"),
        (split(rescue={"budget_percent": 101}), "/rescue/budget_percent", "range"),
        (split(sequences={"on_change": "drop"}), "/sequences/on_change", "invalid"),
        (split(circuit={}), "/circuit", "unknown"),
    ],
)
def test_what_is_refused_is_named(document: object, pointer: str, code: str) -> None:
    found = broken(document)
    assert pointer in found, found
    assert found[pointer][0] == code
    assert len(found) == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x-forwarded-for", "NEREID_FORWARD_HEADERS"),
        ("Cookie", "never forwarded"),
        ("set-cookie", "never forwarded"),
        ("proxy-authorization", "never forwarded"),
    ],
)
def test_a_header_that_never_comes_is_refused_with_the_remedy(name: str, says: str) -> None:
    rule = {"when": {f"header:{name}": {"equals": "x"}}, "arm": "candidate"}
    [(_, detail)] = broken(split(rules=[rule])).values()
    assert says in detail


def test_the_operator_lets_further_headers_through_and_never_secrets() -> None:
    headers = ForwardedHeaders.of("x-region, x-app-.*, .*")
    assert headers.refusal("X-Region") == headers.refusal("x-app-1") == ""
    assert ForwardedHeaders.of("x-app").refusal("x-app-1") != ""
    assert "never" in headers.refusal("authorization")
    with pytest.raises(ValueError, match="NEREID_FORWARD_HEADERS"):
        ForwardedHeaders.of("x-(")


def test_a_document_of_before_still_reads() -> None:
    """As revisions of the first release stand in databases."""
    old = {
        "mode": "weighted",
        "arms": [
            {"name": "a", "model": "digits", "version": 1, "weight": 99.5, "primary": True},
            {"name": "b", "model": "digits", "version": 2, "weight": 0.5, "primary": False},
        ],
    }
    assert [arm.weight for arm in parse_policy(old).arms] == [9950, 50]


@given(documents(grants=True))
def test_what_is_written_reads_back_the_same(document: dict[str, Any]) -> None:
    policy = parse_policy(document, OURS)
    written = to_document(policy)
    assert parse_policy(written, OURS) == policy
    assert to_document(parse_policy(written)) == written


def test_a_fiftieth_explores_unless_it_is_said_and_what_was_accepted_before_still_reads() -> None:
    adaptive = split(mode="adaptive", objective={"alpha": 1})
    assert to_document(parse_policy(adaptive, OURS))["objective"]["explore"] == 0.02
    old = split(mode="adaptive", objective={"alpha": 1, "explore": 0})
    assert parse_policy(to_document(parse_policy(old))).objective == Objective(1, explore_parts=0)


@st.composite
def spelt_rules(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """One condition on each of some names, twice: in two orders, and in two spellings."""
    names = draw(
        st.lists(
            st.sampled_from(["x-user-a", "x-user-b", "x-tenant-a", "x-request-z"]).map(
                "header:{}".format
            )
            | st.sampled_from(["A", "a", "x-user-a"]).map("parameter:{}".format),
            min_size=1,
            max_size=6,
            unique=True,
        )
    )

    def spelt(name: str) -> str:
        source, _, rest = name.partition(":")
        if source == "parameter":
            return name
        upper = draw(st.sets(st.integers(0, len(rest) - 1)))
        letters = (c.upper() if i in upper else c for i, c in enumerate(rest))
        return f"{source}:{''.join(letters)}"

    one = {spelt(name): {"equals": name} for name in names}
    two = {spelt(name): {"equals": name} for name in draw(st.permutations(names))}
    return one, two


@given(spelt_rules())
def test_a_rule_is_the_same_however_its_headers_are_spelt_and_ordered(
    pair: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    one, two = (
        parse_policy(split(rules=[{"when": when, "arm": "candidate"}]), OURS) for when in pair
    )
    assert one == two
    assert parse_policy(to_document(one), OURS) == one


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["header:x-user-id", "10s", "stable", "2026-01-01T00:00:00Z", 10**400]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["key", "when", "in"]), inner)
    ),
    max_leaves=8,
)


@given(_json)
def test_whatever_comes_is_read_or_refused(document: Any) -> None:
    reads(document)


@given(
    documents(),
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    ("arms", 0, "version"),
                    ("arms", 0, "cost"),
                    ("arms", 0, "overflow"),
                    ("arms", 0, "allowance"),
                    ("arms", 0, "timeout"),
                    ("mode",),
                    ("objective",),
                    ("sticky",),
                    ("rules",),
                    ("rules", 0, "when"),
                    ("shadow",),
                    ("breaker",),
                    ("rescue",),
                    ("slow_start",),
                    ("sequences",),
                ]
            ),
            _json,
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_a_spoilt_document_is_read_or_refused(document: dict[str, Any], spoilt: Any) -> None:
    for (*parents, last), value in spoilt:
        with contextlib.suppress(LookupError, TypeError):
            place: Any = document
            for step in parents:
                place = place[step]
            place[last] = value
    reads(document)


def test_a_number_of_thousands_of_digits_is_refused_in_words() -> None:
    assert "/arms/0/weight" in broken({"arms": [{"weight": [10**5000]}]})
    assert "/breaker/min_requests" in broken(split(breaker={"min_requests": 10**5000}))


def reads(document: Any) -> None:
    """Nothing but a refusal may come of it; what is taken survives the round trip."""
    try:
        policy = parse_policy(document, OURS)
    except InvalidInputError:
        return
    assert parse_policy(to_document(policy)) == policy

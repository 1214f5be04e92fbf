"""Sticky keys: the same key stays on the same arm, over every protocol and every reload."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import xxhash

from control_plane.domain.routing.policy import SLOTS, Arm, RoutingPolicy
from control_plane.domain.routing.slots import Key, next_table, runs
from tests.integration.backends.arms import RESCUE, Stage, arm_name, version_of
from tests.support.triton import eventually

SALT = "spring"
USERS = [f"user-{number}" for number in range(200)] + ["", "ü", "a b%c", "x" * 300]
EVEN = [5000, 5000]


def slot_of(key: str, salt: str = SALT) -> int:
    seed = xxhash.xxh64_intdigest(salt.encode(), 0)
    return (xxhash.xxh64_intdigest(key.encode(), seed) * SLOTS) >> 64


def version_for(key: str, weights: Sequence[int], salt: str = SALT) -> int:
    """The version that has the key's slot, where each has its slots in one run."""
    slot = slot_of(key, salt)
    return next(version for version in range(1, len(weights) + 1) if slot < sum(weights[:version]))


@pytest.fixture(scope="module")
def by_header(stage: Stage) -> str:
    stage.endpoint("by-header", EVEN, f"sticky header x-user-id salt {SALT}")
    return "by-header"


@pytest.fixture(scope="module")
def by_parameter(stage: Stage) -> str:
    stage.endpoint("by-parameter", EVEN, f"sticky parameter user salt {SALT}")
    return "by-parameter"


def test_the_keys_are_spread_over_both_arms() -> None:
    expected = {version_for(user, EVEN) for user in USERS}
    assert expected == {1, 2}


def test_a_parameter_is_a_key(stage: Stage, by_parameter: str) -> None:
    for user in USERS:
        for ask in (stage.ask, stage.ask_http):
            assert version_of(ask(by_parameter, {"user": user})) == version_for(user, EVEN), user


@pytest.mark.parametrize("value", [*range(-20, 20), 2**53, True, False])
def test_numbers_and_truths_are_keys_by_their_text(
    stage: Stage, by_parameter: str, value: Any
) -> None:
    text = str(value).lower()
    assert version_of(stage.ask(by_parameter, {"user": value})) == version_for(text, EVEN)
    assert version_of(stage.ask_http(by_parameter, {"user": value})) == version_for(text, EVEN)


def test_a_parameters_name_is_taken_exactly(stage: Stage, by_parameter: str) -> None:
    assert set(stage.arms(by_parameter, 40, {"User": "user-1"})) == {1, 2}


def test_a_fraction_is_no_key(stage: Stage, by_parameter: str) -> None:
    assert set(stage.arms(by_parameter, 40, {"user": 0.5})) == {1, 2}


def test_without_a_key_the_requests_are_split(stage: Stage, by_parameter: str) -> None:
    assert set(stage.arms(by_parameter, 40)) == {1, 2}


@pytest.mark.parametrize("name", ["x-user-id", "X-User-Id", "X-USER-ID"])
def test_a_header_is_a_key_in_any_case_over_http(stage: Stage, by_header: str, name: str) -> None:
    for user in USERS[:60]:
        answer = stage.ask_http(by_header, headers={name: user})
        assert version_of(answer) == version_for(user, EVEN), user


def test_metadata_are_headers_over_grpc(stage: Stage, by_header: str) -> None:
    for user in USERS[:60]:
        answer = stage.ask(by_header, headers={"x-user-id": user})
        assert version_of(answer) == version_for(user, EVEN), user


def test_a_header_that_is_not_the_key_says_nothing(stage: Stage, by_header: str) -> None:
    assert set(stage.arms(by_header, 40, headers={"x-user-name": "user-1"})) == {1, 2}


def test_the_salt_decides_as_well(stage: Stage, by_parameter: str) -> None:
    stage.endpoint("salted", EVEN, "sticky parameter user salt %C3%BC%20%25")
    versions = [version_of(stage.ask("salted", {"user": user})) for user in USERS]
    assert versions == [version_for(user, EVEN, "ü %") for user in USERS]
    assert versions != [version_for(user, EVEN) for user in USERS]


def test_sequence_ids_are_keys(stage: Stage) -> None:
    stage.endpoint("by-sequence", EVEN, f"sticky sequence salt {SALT}")
    for sequence in [*range(1, 40), *(f"call-{number}" for number in range(40)), 2**63 - 1]:
        options: dict[str, Any] = {"sequence_start": True, "sequence_end": True}
        answer = stage.ask("by-sequence", sequence_id=sequence, **options)
        assert version_of(answer) == version_for(str(sequence), EVEN), sequence


def test_a_reload_moves_nobody(stage: Stage) -> None:
    policy = f"sticky parameter user salt {SALT}"
    stage.endpoint("same", EVEN, policy)
    before = [version_of(stage.ask("same", {"user": user})) for user in USERS]
    for _ in range(3):
        stage.route("same", EVEN, policy)
        assert [version_of(stage.ask("same", {"user": user})) for user in USERS] == before


def weighted(candidate: int) -> RoutingPolicy:
    main = Arm("main", "m", 1, SLOTS - candidate, primary=True)
    return RoutingPolicy((main, Arm("candidate", "m", 2, candidate)))


def test_a_growing_candidate_loses_nobody_and_going_back_restores_all(stage: Stage) -> None:
    policy = f"sticky parameter user salt {SALT}"
    stage.endpoint("grows", [SLOTS, 0], policy)
    table: tuple[Key, ...] = ()

    def at(candidate: int) -> list[int]:
        nonlocal table
        wanted = weighted(candidate)
        table = next_table(wanted, table)
        slots = " ".join(f"{index}:{count}" for index, count in runs(table, wanted))
        stage.route("grows", [SLOTS - candidate, candidate], policy, slots=slots)
        versions = [version_of(stage.ask("grows", {"user": user})) for user in USERS]
        assert versions == [table[slot_of(user)][1] for user in USERS]
        return versions

    history = [at(candidate) for candidate in (0, 1000, 3000, 7000, SLOTS)]
    for before, after in itertools.pairwise(history):
        assert all(a == 2 for b, a in zip(before, after, strict=True) if b == 2)
        assert after.count(2) > before.count(2)
    assert at(3000) == history[2]
    assert at(0) == [1] * len(USERS)


def test_a_key_stays_with_the_primary_while_the_breaker_is_open(stage: Stage) -> None:
    breaker = (
        "breaker consecutive 1 rate 0 min_requests 1 window_us 10000000 "
        "open_us 300000 max_open_us 300000"
    )
    stage.endpoint("ejected", EVEN, f"sticky parameter user salt {SALT}", breaker, RESCUE)
    user = next(user for user in USERS if version_for(user, EVEN) == 2)
    assert version_of(stage.ask("ejected", {"user": user})) == 2
    assert version_of(stage.ask("ejected", {"user": user, "v2.fail": "INTERNAL"})) == 1
    eventually(lambda: version_of(stage.ask("ejected", {"user": user})) == 2)


def test_a_key_that_the_ramp_let_through_is_let_through_again(stage: Stage) -> None:
    policy = (
        f"sticky parameter user salt {SALT}",
        "slow_start window_us 600000000 aggression 1",
    )
    stage.endpoint("thinned", [SLOTS, 0], *policy)
    stage.route("thinned", [0, SLOTS], *policy)
    seed = xxhash.xxh64_intdigest(SALT.encode(), 0) ^ 0x9E3779B97F4A7C15

    def fraction(user: str) -> float:
        return xxhash.xxh64_intdigest(user.encode(), seed) / 2**64

    sure = [user for user in USERS if not 0.1 <= fraction(user) < 0.2]
    expected = [2 if fraction(user) < 0.1 else 1 for user in sure]
    assert set(expected) == {1, 2}
    for _ in range(2):
        assert [version_of(stage.ask("thinned", {"user": user})) for user in sure] == expected


def test_the_metrics_name_the_physical_arm(stage: Stage, by_header: str) -> None:
    stage.ask(by_header)
    names = {
        found[1]
        for sample in stage.server.metrics()
        if (found := re.search(rf'nereid_requests_total{{.*arm="({by_header}[^"]*)"', sample))
    }
    assert names == {arm_name(by_header, 1), arm_name(by_header, 2)}


def test_rules_come_before_the_key(stage: Stage) -> None:
    rule = "rule 1 header x-tenant-id equals testers"
    stage.endpoint("both", EVEN, f"sticky parameter user salt {SALT}", rule)
    asks: list[Callable[..., Any]] = [stage.ask, stage.ask_http]
    for user in USERS[:20]:
        for ask in asks:
            answer = ask("both", {"user": user}, headers={"x-tenant-id": "testers"})
            assert version_of(answer) == 2
            answer = ask("both", {"user": user}, headers={"x-tenant-id": "others"})
            assert version_of(answer) == version_for(user, EVEN)

"""Sticky keys: XXH64, the slot it stands for, and the arm of the slot."""

from __future__ import annotations

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.models import policy_text
from tests.support.routing import NativeRouter, Text
from tests.support.routing_parts import parts

SLOTS = 10_000
ARMS = {"m.v1.abcdef": 9_000, "m.v2.abcdef": 700, "m.v3.abcdef": 300}


def sticky_router(sticky: str, arms: dict[str, int] | None = None) -> NativeRouter:
    return NativeRouter(policy_text("m", arms or ARMS) + f"sticky {sticky}\n")


def slot_of(key: bytes, salt: str) -> int:
    return (xxhash.xxh64_intdigest(key, xxhash.xxh64_intdigest(salt.encode())) * SLOTS) >> 64


@given(st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_the_hash_is_xxh64(key: bytes, seed: int) -> None:
    assert parts().nereid_xxh64(Text.of(key), seed) == xxhash.xxh64_intdigest(key, seed)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 7, 8, 11, 12, 31, 32, 33, 63, 64, 65, 1000])
def test_the_hash_is_xxh64_at_every_kind_of_end(size: int) -> None:
    key = bytes(i * 37 % 256 for i in range(size))
    assert parts().nereid_xxh64(Text.of(key), 7) == xxhash.xxh64_intdigest(key, 7)


@given(st.integers(0, 2**64 - 1))
def test_a_slot_is_the_hash_scaled(hashed: int) -> None:
    assert parts().nereid_slot_of(hashed) == hashed * SLOTS // 2**64


@settings(max_examples=200)
@given(st.text(max_size=60), st.sampled_from(["header", "parameter"]))
def test_a_key_goes_to_the_arm_of_its_slot(key: str, source: str) -> None:
    router = sticky_router(f"{source} x-user-id salt m")
    table = router.policy["slots"]
    decision = router.decide({"other": "1", "x-user-id": key, "more": "2"})
    assert decision.arm == table[slot_of(key.encode(), "m")]


def test_a_sequences_key_is_its_id() -> None:
    router = sticky_router("sequence salt s")
    for number in range(200):
        expected = router.policy["slots"][slot_of(str(number).encode(), "s")]
        assert router.decide(sequence=str(number)).arm == expected


def test_a_key_stays_and_another_salt_shuffles() -> None:
    first, second = (sticky_router(f"header x-user-id salt {salt}") for salt in ("a", "b"))
    users = [{"x-user-id": f"user-{i}"} for i in range(500)]
    arms = [first.decide(user).arm for user in users]
    assert [first.decide(user).arm for user in users] == arms
    assert [sticky_router("header x-user-id salt a").decide(user).arm for user in users] == arms
    assert [second.decide(user).arm for user in users] != arms


def test_a_header_is_found_without_case_and_a_parameter_with() -> None:
    key = next(
        str(i) for i in range(10_000) if slot_of(str(i).encode(), "m") >= 9_700
    )  # a user of the last arm
    by_header = sticky_router("header x-user-id salt m")
    by_parameter = sticky_router("parameter X-User-Id salt m")
    for name in ("x-user-id", "X-USER-ID", "X-User-Id"):
        assert by_header.decide({name: key}).arm == 2
    assert by_parameter.decide({"X-User-Id": key}).arm == 2
    others = [by_parameter.decide({"x-user-id": key}).arm for _ in range(100)]
    assert set(others) != {2}  # no key: the cycle's turn


def test_without_its_key_a_request_takes_the_next_turn() -> None:
    router = sticky_router("header x-user-id salt m")
    arms = [router.decide({"x-user": "1"}).arm for _ in range(SLOTS)]
    assert [arms.count(arm) for arm in range(3)] == [9_000, 700, 300]


def test_keys_fill_the_slots_evenly() -> None:
    """Chi-square over 100 groups of slots: 99 degrees of freedom, 148 at one in a thousand."""
    seen = [0] * 100
    count = 100_000
    for i in range(count):
        hashed = parts().nereid_xxh64(Text.of(b"user-%d" % i), 42)
        seen[parts().nereid_slot_of(hashed) // 100] += 1
    assert sum((n - count / 100) ** 2 / (count / 100) for n in seen) < 148


@pytest.mark.parametrize("weight", [1, 50, 2_500])
def test_a_raised_weight_moves_nobody_out(weight: int) -> None:
    """The table gives the candidate more slots and takes none: so it is with the keys."""
    users = [{"x-user-id": f"{i}"} for i in range(3_000)]
    inside: set[int] = set()
    for share in (weight, 2 * weight, 4 * weight):
        arms = {"m.v1.abcdef": SLOTS - share, "m.v2.abcdef": share}
        router = sticky_router("header x-user-id salt m", arms)
        now = {i for i, user in enumerate(users) if router.decide(user).arm == 1}
        assert inside <= now
        inside = now
    assert inside

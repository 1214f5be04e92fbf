"""Sequence pins: bound until they were idle too long, dropped outside of their locks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.routing_parts import SequencePins


def test_a_sequence_stays_where_it_was_pinned() -> None:
    pins = SequencePins()
    assert pins.find("a", 0) is None
    pins.pin("a", 1, 0, 100)
    pins.pin("b", 2, 0, 100)
    assert (pins.find("a", 50), pins.find("b", 50)) == (1, 2)
    pins.pin("a", 2, 60, 100)
    assert pins.find("a", 60) == 2
    assert (len(pins), pins.dropped) == (2, 1)
    pins.unpin("a")
    pins.unpin("never there")
    assert pins.find("a", 60) is None
    assert len(pins) == 1


def test_use_keeps_it_alive_and_idleness_ends_it() -> None:
    pins = SequencePins()
    pins.pin("a", 1, 0, 100)
    for now in (100, 200, 300):  # not later than the idle limit
        assert pins.find("a", now) == 1
    assert pins.find("a", 250) == 1
    assert pins.find("a", 400) == 1  # a clock read earlier, at 250, has not aged it
    assert pins.find("a", 501) is None
    assert (len(pins), pins.dropped) == (0, 1)


def test_a_request_at_work_keeps_its_sequence() -> None:
    pins = SequencePins()
    pins.pin("a", 1, 0, 100)
    pins.hold("a", 50, request=7)
    assert pins.expire(1_000) == 0
    pins.release(7)
    assert pins.expire(1_100) == 0  # idle since it was last seen at work
    assert pins.expire(1_101) == 1


def test_expire_drops_exactly_what_was_idle() -> None:
    pins = SequencePins()
    for number in range(100):
        pins.pin(str(number), number + 1, number, 50)
    assert pins.expire(50) == 0
    assert pins.expire(100) == 50
    assert (len(pins), pins.dropped) == (50, 50)
    assert pins.find("49", 100) is None
    assert pins.find("50", 100) == 51


_STEPS = st.tuples(
    st.sampled_from(["pin", "find", "unpin", "expire"]),
    st.text("abc", min_size=1, max_size=2),
    st.integers(1, 3),
    st.integers(0, 40),
)


@given(st.lists(_STEPS, max_size=80))
def test_it_behaves_as_a_dictionary_with_an_idle_limit(
    steps: list[tuple[str, str, int, int]],
) -> None:
    pins, known, now = SequencePins(), {}, 0
    for verb, key, target, wait in steps:
        now += wait
        if verb == "pin":
            pins.pin(key, target, now, 60)
            known[key] = (target, now)
        elif verb == "unpin":
            pins.unpin(key)
            known.pop(key, None)
        elif verb == "expire":
            old = [k for k, (_, used) in known.items() if now - used > 60]
            assert pins.expire(now) == len(old)
            for k in old:
                del known[k]
        else:
            if key in known and now - known[key][1] > 60:
                del known[key]
            found = known.get(key)
            assert pins.find(key, now) == (found and found[0])
            if found:
                known[key] = (found[0], now)
        assert len(pins) == len(known)

"""When a delivery is tried again: the laws of the wait, and what an answer means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.webhooks.retrying import (
    ATTEMPTS,
    JITTER,
    LONGEST,
    LONGEST_REST,
    LONGEST_WISH,
    Outcome,
    rest,
    retry_after,
    verdict,
    wait,
)

NOW = datetime(2026, 11, 26, 10, tzinfo=UTC)
DRAWS = st.floats(0, 1, exclude_max=True)
WISHES = st.none() | st.timedeltas(timedelta(), timedelta(days=400))


@given(st.integers(1, 10**9), DRAWS, WISHES)
def test_no_wait_is_longer_than_a_day_or_shorter_than_what_is_asked_for(
    attempt: int, draw: float, wish: timedelta | None
) -> None:
    found = wait(attempt, draw, wish)
    assert timedelta(seconds=4) <= found <= LONGEST_WISH
    assert found >= min(wish or timedelta(), LONGEST_WISH)


@given(st.integers(1, ATTEMPTS), DRAWS, DRAWS)
def test_waits_grow_and_the_jitter_stays_around_them(attempt: int, one: float, two: float) -> None:
    plain = wait(attempt, 0.5)
    assert plain <= wait(attempt + 1, 0.5) <= LONGEST
    assert abs(wait(attempt, one) - plain) <= plain * JITTER + timedelta(microseconds=1)
    if one < two:
        assert wait(attempt, one) <= wait(attempt, two)


@pytest.mark.parametrize(("draw", "hours"), [(0.0, 18.9), (0.5, 23.6), (0.999999, 28.3)])
def test_the_last_attempt_comes_after_about_a_day(draw: float, hours: float) -> None:
    whole = sum((wait(n, draw) for n in range(1, ATTEMPTS)), timedelta())
    assert whole.total_seconds() / 3600 == pytest.approx(hours, abs=0.1)


@given(st.integers(1, 10**9), WISHES)
def test_a_receiver_that_is_away_is_left_alone_for_a_bounded_time(
    failures: int, wish: timedelta | None
) -> None:
    found = rest(failures, wish)
    assert timedelta(seconds=1) <= rest(failures) <= rest(failures + 1) <= LONGEST_REST
    assert found == max(rest(failures), min(wish or timedelta(), LONGEST_WISH))


@given(st.integers(100, 599))
def test_2xx_alone_is_delivered_and_410_alone_is_gone(status: int) -> None:
    found = verdict(status)
    assert (found.outcome == Outcome.DELIVERED) is (200 <= status < 300)
    assert (found.outcome == Outcome.GONE) is (status == 410)
    assert (found.reason == "") is (found.outcome == Outcome.DELIVERED)
    assert found.away is (status == 429 or status >= 500)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("9" * 40, 86400),
        ("Thu, 26 Nov 2026 10:01:00 GMT", 60),
        ("Thu, 26 Nov 2026 09:59:00 GMT", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Thu, 99 Nov 2026 10:01:00 GMT", None),
        ("\u0665", None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: int | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert retry_after(header, NOW) == expected


@given(st.text())
def test_no_retry_after_breaks_anything(header: str) -> None:
    found = retry_after(header, NOW)
    assert found is None or found >= timedelta()

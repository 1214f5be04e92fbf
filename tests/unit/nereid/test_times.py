from datetime import UTC, datetime, timedelta

import pytest

from nereid.times import moment

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("now", NOW),
        ("-1h", NOW - timedelta(hours=1)),
        ("now-1.5h", NOW - timedelta(minutes=90)),
        ("-90s", NOW - timedelta(seconds=90)),
        ("-2w", NOW - timedelta(days=14)),
        ("2026-11-26T10:00Z", NOW - timedelta(hours=2)),
        ("2026-11-26T11:00+01:00", NOW - timedelta(hours=2)),
    ],
)
def test_a_moment_as_people_write_it(text: str, then: datetime) -> None:
    assert moment(text, NOW) == then


@pytest.mark.parametrize("text", ["", "noon", "-h", "1h", "-1y", "2026-13-01T10:00Z"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        moment(text, NOW)


@pytest.mark.parametrize("text", ["2026-11-26T10:00", "2026-11-26"])
def test_a_time_without_a_zone_is_asked_about(text: str) -> None:
    with pytest.raises(ValueError, match="no zone"):
        moment(text, NOW)

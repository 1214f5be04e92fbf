"""When a delivery is tried again, and what an answer means for it.

The wait after attempt n is base * factor**(n - 1), at most `LONGEST`, times a draw from
[1 - JITTER, 1 + JITTER]:

    n      1     2     3      4       5       6       7       8    9
    wait   5 s   20 s  80 s   5 min   21 min  85 min  5.7 h   8 h  8 h

so the tenth and last attempt comes about a day after the first (19 to 28 hours).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

ATTEMPTS = 10
BASE = timedelta(seconds=5)
FACTOR = 4
LONGEST = timedelta(hours=8)
JITTER = 0.2

LONGEST_WISH = timedelta(hours=24)
"""A `Retry-After` beyond this is not waited for: nobody would know the event any more."""

LONGEST_REST = timedelta(minutes=1)
"""A receiver that is away is left alone between its deliveries, at most for so long."""


class Outcome(StrEnum):
    """What one attempt came to."""

    DELIVERED = "delivered"
    AGAIN = "again"
    GONE = "gone"


@dataclass(frozen=True)
class Verdict:
    """The outcome, why in words, and whether the receiver as a whole is not well."""

    outcome: Outcome
    reason: str = ""
    away: bool = False


def verdict(status: int) -> Verdict:
    """What a status code means: 2xx is delivered, 410 that nobody is there, the rest: again."""
    if 200 <= status < 300:
        return Verdict(Outcome.DELIVERED)
    if status == 410:
        return Verdict(Outcome.GONE, "it answered 410: nobody wants these events there any more")
    if 300 <= status < 400:
        detail = f"it answered {status}, a redirect: those are not followed; enter the final URL"
        return Verdict(Outcome.AGAIN, detail)
    away = status >= 500 or status == 429
    return Verdict(Outcome.AGAIN, f"it answered {status}, and only 2xx counts as delivered", away)


def wait(attempt: int, draw: float, wish: timedelta | None = None) -> timedelta:
    """How long to wait after attempt number `attempt` failed, at least what the receiver wishes.

    Args:
        attempt: from 1.
        draw: a number from [0, 1), the jitter.
        wish: the receiver's `Retry-After`, if it sent one.

    >>> wait(3, 0.5)
    datetime.timedelta(seconds=80)
    """
    # Beyond this exponent every wait is the longest, and no timedelta overflows.
    plain = min(BASE * int(FACTOR ** min(attempt - 1, 20)), LONGEST)
    jittered = plain * (1 - JITTER + 2 * JITTER * draw)
    return max(jittered, min(wish or timedelta(), LONGEST_WISH))


def rest(failures: int, wish: timedelta | None = None) -> timedelta:
    """How long a receiver that is away is left alone after so many failures in a row.

    >>> rest(1), rest(4)
    (datetime.timedelta(seconds=1), datetime.timedelta(seconds=8))
    """
    plain = min(timedelta(seconds=2 ** min(failures - 1, 10)), LONGEST_REST)
    return max(plain, min(wish or timedelta(), LONGEST_WISH))


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """A `Retry-After` header, seconds or a date; None where there is none that makes sense.

    >>> retry_after("120", datetime(2026, 1, 1, tzinfo=UTC))
    datetime.timedelta(seconds=120)
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:12]), int(LONGEST_WISH.total_seconds())))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment - now if moment > now else None

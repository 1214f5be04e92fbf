"""A moment as a person writes it: with its zone, or as a distance from now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_DISTANCE = re.compile(r"(?:now)?-(\d{1,6}(?:\.\d+)?)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

FORMS = "2026-11-26T10:00Z, 2026-11-26T11:00+01:00, -90s, -30m, -1h, -2d or now"


def moment(text: str, now: datetime) -> datetime:
    """The time that a text means.

    Raises:
        ValueError: it is none, or has no zone and could mean any hour of the day.
    """
    if text == "now":
        return now
    if found := _DISTANCE.fullmatch(text):
        return now - timedelta(**{_UNITS[found[2]]: float(found[1])})
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time: {FORMS}") from None
    if then.tzinfo is None:
        raise ValueError(f"{text!r} says no zone: add Z for UTC, or an offset such as +01:00")
    return then.astimezone(UTC)


def is_distance(text: str) -> bool:
    """Whether a word of a command line is such a distance and no option."""
    return text.startswith("-") and _DISTANCE.fullmatch(text) is not None

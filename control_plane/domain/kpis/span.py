"""The time that figures are asked for: so long until now, or between two moments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from control_plane.domain.violations import InvalidInputError, Violation

DEFAULT = "5m"
SHORTEST = timedelta(minutes=1)
"""Figures are kept by the minute."""

_WINDOW = re.compile(r"([0-9]{1,6})(m|h|d)", re.ASCII)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


@dataclass(frozen=True)
class Span:
    """From `since` until `until`."""

    since: datetime
    until: datetime


def read_span(
    window: str | None,
    since: datetime | None,
    until: datetime | None,
    *,
    now: datetime,
    kept: timedelta,
) -> Span:
    """The span that somebody asks for: a window like `5m`, `1h` or `2d` until now, or two moments.

    Args:
        kept: how far back figures go.

    Raises:
        InvalidInputError: both are said, or a window is none, or nothing is kept of that time.
    """
    if window is not None and (since is not None or until is not None):
        detail = "say a window, or since and until, not both"
        raise InvalidInputError([Violation("/window", "exclusive", detail)])
    if until is not None and since is None:
        raise InvalidInputError([Violation("/since", "required", "until, but since when?")])
    if since is None:
        length = _length(window or DEFAULT)
        if not SHORTEST <= length <= kept:
            detail = f"{window}: a window is 1m to {kept.days}d"
            raise InvalidInputError([Violation("/window", "range", detail)])
        return Span(now - length, now)
    span = Span(since, min(until or now, now))
    if span.until - span.since < SHORTEST:
        detail = "figures are kept by the minute: ask for one at least, of the past"
        raise InvalidInputError([Violation("/since", "range", detail)])
    if span.since < now - kept - SHORTEST:
        detail = f"figures are kept for {kept.days} days"
        raise InvalidInputError([Violation("/since", "range", detail)])
    return span


def _length(window: str) -> timedelta:
    found = _WINDOW.fullmatch(window)
    if found is None:
        detail = f"{window[:80]!r}: a window looks like 5m, 1h or 2d"
        raise InvalidInputError([Violation("/window", "invalid", detail)])
    return int(found[1]) * _UNITS[found[2]]

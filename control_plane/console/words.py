"""How the console says states, times and amounts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

COLOURS = {
    "Healthy": "success",
    "Ready": "success",
    "Serving": "success",
    "Leaving": "warning",
    "Cordoned": "warning",
    "Draining": "warning",
    "Drained": "info",
    "placed": "success",
    "leaving": "warning",
    "held": "danger",
    "spare": "default",
    "refused": "default",
    "ready": "success",
    "approved": "success",
    "succeeded": "success",
    "queued": "info",
    "running": "info",
    "recording": "info",
    "cancelling": "warning",
    "cancelled": "default",
    "pending": "info",
    "stale": "warning",
    "withdrawn": "default",
    "live": "success",
    "enabled": "success",
    "delivered": "success",
    "promoted": "success",
    "Successful": "success",
    "Progressing": "info",
    "progressing": "info",
    "preparing": "info",
    "analysing": "info",
    "promoting": "info",
    "Running": "info",
    "validating": "info",
    "uploading": "info",
    "Unconfigured": "default",
    "archived": "default",
    "abandoned": "default",
    "superseded": "default",
    "revoked": "default",
    "aborted": "default",
    "Stopped": "default",
    "paused": "warning",
    "awaitingApproval": "warning",
    "inconclusive": "warning",
    "Inconclusive": "warning",
    "Error": "warning",
    "stuck": "warning",
    "Removing": "warning",
    "NotReady": "warning",
    "Unknown": "warning",
    "expired": "warning",
    "failing": "warning",
    "breaker": "warning",
    "allowance": "warning",
    "waiting": "warning",
    "ticket": "warning",
    "page": "danger",
    "Degraded": "danger",
    "rollingBack": "danger",
    "rolledBack": "danger",
    "Failed": "danger",
    "rejected": "danger",
    "failed": "danger",
    "disabled": "danger",
    "not compiled": "danger",
}
"""Status -> Unfold's word for a label's colour."""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def ago(moment: datetime, now: datetime) -> str:
    """The distance of a past moment in words: `now`, `12 s ago`, `3 h ago`, then the date."""
    seconds = (now - moment).total_seconds()
    if seconds < 1:
        return "now"
    for limit, unit, length in ((60, "s", 1), (3600, "min", 60), (86_400, "h", 3600)):
        if seconds < limit:
            return f"{seconds // length:.0f} {unit} ago"
    if seconds < timedelta(days=14).total_seconds():
        return f"{seconds // 86_400:.0f} d ago"
    return f"{moment:%Y-%m-%d}"


def lasting(span: timedelta) -> str:
    """A length of time in at most two units: 12 s, 5 min, 1 h 30 min, 2 d.

    >>> lasting(timedelta(seconds=90)), lasting(timedelta(hours=26))
    ('1 min 30 s', '1 d 2 h')
    """
    left = round(max(0.0, span.total_seconds()))
    parts = []
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        parts.append((count, unit))
    first = next((i for i, (count, _) in enumerate(parts) if count), len(parts) - 1)
    said = [f"{count} {unit}" for count, unit in parts[first : first + 2] if count]
    return " ".join(said) or "0 s"


def number(value: float | None) -> str:
    """At most two decimals and no needless zeros."""
    return "–" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")  # noqa: RUF001


def size(count: float) -> str:
    """Bytes as 512 B, 1.2 MiB."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count /= 1024
        unit += 1
    return f"{count:.0f} B" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"


def microseconds(value: float | None) -> str:
    """A duration with three digits: 87 µs, 1.24 ms, 24.3 ms, 1.5 s."""
    if value is None:
        return "–"  # noqa: RUF001 - a dash people know as "nothing here"
    for unit, length in (("µs", 1), ("ms", 1e3)):
        text = _three_digits(value / length)
        if float(text) < 1000:  # and 999.9 µs are 1 ms
            return f"{text} {unit}"
    return f"{_three_digits(value / 1e6)} s"


def percent(value: float | None) -> str:
    """A percent with at most two decimals."""
    return number(value) if value is None else f"{number(value)} %"


def _three_digits(value: float) -> str:
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def points(said: str) -> str:
    """Percentage points, of a number that is said already.

    >>> [points(said) for said in ("+0.5", "-1", "1")]
    ['+0.5 points', '-1 point', '1 point']
    """
    return f"{said} point" if said.lstrip("+-\N{MINUS SIGN}") == "1" else f"{said} points"


def spaced(state: str) -> str:
    """A state as people read it.

    >>> spaced("awaitingApproval"), spaced("Healthy")
    ('awaiting approval', 'Healthy')
    """
    return re.sub(r"(?<=[a-z])([A-Z])", lambda found: f" {found[1].lower()}", state)


def served(arm: Mapping[str, Any]) -> str:
    """What an arm of a policy's document serves, or what a perf run puts under load.

    >>> served({"model": "digits", "version": 2}), served({"pipeline": "png", "revision": 1})
    ('digits v2', 'png r1')
    """
    if arm.get("endpoint"):
        return str(arm["endpoint"])
    if arm.get("pipeline"):
        return f"{arm['pipeline']} r{arm.get('revision')}"
    return f"{arm.get('model')} v{arm.get('version')}"

"""What a model has to keep up in production: its service level."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from control_plane.domain.violations import InvalidInputError, Violation

LIMITS: Mapping[str, tuple[float, str]] = {
    "p99_ms": (3_600_000, "milliseconds that 99 of 100 requests take at most"),
    "availability_percent": (100, "percent of the requests that are answered"),
    "required_qps": (1_000_000_000, "requests per second that it has to take"),
}
"""Field -> the highest value, and what it means; every value is above 0."""


def merged_service_level(
    present: Mapping[str, float], patch: Mapping[str, Any] | None, where: str = "/sla"
) -> dict[str, float]:
    """The service level after a merge patch (RFC 7396): null removes a field, or all of it.

    Raises:
        InvalidInputError: a field is not known, or its value out of range.
    """
    if patch is None:
        return {}
    if not isinstance(patch, Mapping):
        detail = f"a service level is a JSON object with {', '.join(LIMITS)}, or null"
        raise InvalidInputError([Violation(where, "type", detail)])
    found = [
        Violation(f"{where}/{name}", code, detail)
        for name, value in patch.items()
        for code, detail in _problem(name, value)
    ]
    if found:
        raise InvalidInputError(found)
    both = {**present, **patch}
    return {name: float(both[name]) for name in LIMITS if both.get(name) is not None}


def _problem(name: str, value: object) -> list[tuple[str, str]]:
    if name not in LIMITS:
        return [("unknown", f"unknown field; known here: {', '.join(LIMITS)}")]
    if value is None:
        return []
    highest, meaning = LIMITS[name]
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not 0 < value <= highest
    ):
        return [("range", f"{meaning}: a number above 0, at most {highest:,.0f}")]
    return []

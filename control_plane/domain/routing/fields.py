"""Reading one JSON object field by field: what is wrong is noted, with its pointer, and read on.

Every reader returns a value that can be worked with, so that all broken rules of a document are
told at once; who reads raises when anything was noted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from control_plane.domain.routing.policy import MILLISECOND, SECOND, SLOTS
from control_plane.domain.stored_json import pointer_part, storable_problem
from control_plane.domain.violations import Violation

MAX_NUMBER = 1_000_000_000
MAX_DECIMALS = 9
"""What the router's own form of a number can hold (`domain.routing.compact`)."""

MAX_FIELD_TEXT = 500

_MAX_UNKNOWN = 20

_PERCENT = re.compile(r"[0-9]{1,16}(\.[0-9]{1,16})?", re.ASCII)
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h)", re.ASCII)

_UNITS = {"ms": MILLISECOND, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}

_Choice = TypeVar("_Choice", bound=StrEnum)


def duration_text(microseconds: int) -> str:
    """A duration as people write it: whole minutes from ten on, else seconds or milliseconds.

    >>> [duration_text(us) for us in (90_000_000, 600_000_000, 500_000, 250)]
    ['90s', '10m', '500ms', '0.25ms']
    """
    minutes, rest = divmod(microseconds, _UNITS["m"])
    if rest == 0 and minutes >= 10:
        return f"{minutes}m"
    if microseconds % SECOND == 0:
        return f"{microseconds // SECOND}s"
    milliseconds = Decimal(microseconds) / MILLISECOND
    return f"{milliseconds.normalize():f}ms"


def shown(value: object) -> str:
    """A value in a message, cut where it is very long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of thousands of digits
        return "a number far too long"
    return text if len(text) <= 80 else f"{text[:80]}…"


class Fields:
    """One JSON object under `where`; what is wrong with it goes to `found`.

    A field that is null counts as left out, unless its reader says otherwise.
    """

    def __init__(
        self, raw: object, where: str, found: list[Violation], what: str, known: set[str]
    ) -> None:
        self.where = where
        self.found = found
        self._raw: Mapping[Any, Any] = {}
        self._refused = False
        if isinstance(raw, Mapping):
            self._raw = raw
            self._refuse_unknown(known)
        else:
            self.note("", "type", f"{what} is a JSON object, not {shown(raw)}")
            self._refused = True

    def note(self, field: str, code: str, detail: str) -> None:
        """Notes what is wrong with a field; with the object itself where `field` is empty.

        Of what is no object at all nothing more is said than that.
        """
        if self._refused:
            return
        pointer = f"{self.where}/{pointer_part(field)}" if field else self.where
        self.found.append(Violation(pointer, code, detail))

    def has(self, field: str) -> bool:
        """True when the field is there, be it null."""
        return field in self._raw

    def get(self, field: str) -> Any:
        """The field as it came; None when it was left out."""
        return self._raw.get(field)

    def items(self) -> list[tuple[str, Any]]:
        """Every field with its value, for objects whose keys are data."""
        return [(str(key), value) for key, value in self._raw.items()]

    def whole(self, field: str, default: int, low: int, high: int = MAX_NUMBER) -> int:
        """A whole number from `low` to `high`."""
        value = self.optional_whole(field, low, high)
        return default if value is None else value

    def optional_whole(self, field: str, low: int, high: int = MAX_NUMBER) -> int | None:
        """A whole number from `low` to `high`, or None."""
        value = self.get(field)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            detail = f"{shown(value)} is not a whole number from {low} to {high}"
            self.note(field, "invalid", detail)
            return None
        return value

    def number(self, field: str, low: float = 0, high: float = MAX_NUMBER) -> float | None:
        """A number from `low` to `high` rounded to nine decimals, or None."""
        value = self.get(field)
        if value is None:
            return None
        # Compared before it is converted: NaN compares with nothing.
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            self.note(field, "range", f"{shown(value)} is not a number from {low} to {high}")
            return None
        return round(float(value), MAX_DECIMALS)

    def parts(self, field: str, default: int) -> int:
        """A fraction from 0 to 1 as parts per 10,000."""
        value = self.number(field, 0, 1)
        if value is None:
            return default
        parts = Decimal(str(value)) * SLOTS
        if parts != parts.to_integral_value():
            self.note(field, "precision", f"{shown(value)} has more than four decimals: round it")
            return default
        return int(parts)

    def percent(self, field: str, what: str, default: int | None = None) -> int:
        """A percent as parts per 10,000; a finer value is refused, never rounded.

        With a default the field may be left out.
        """
        value = self.get(field)
        if value is None and default is not None:
            return default
        if value is None or isinstance(value, bool) or not isinstance(value, int | float | str):
            self.note(field, "required", f"{what} is a percent from 0 to 100")
            return 0
        # Decimal alone takes far more than people write: "1_0", Arabic digits, "1e999999".
        if isinstance(value, str) and not _PERCENT.fullmatch(value):
            self.note(field, "invalid", f"{shown(value)} is not a percent such as 12.5")
            return 0
        in_range = isinstance(value, str) or 0 <= value <= 100
        parts = Decimal(str(value)) * 100 if in_range else Decimal(-1)
        if not 0 <= parts <= SLOTS:
            self.note(field, "range", f"{shown(value)} is not a percent from 0 to 100")
            return 0
        if parts != parts.to_integral_value():
            self.note(field, "precision", f"{shown(value)} has more than two decimals")
            return 0
        return int(parts)

    def duration(self, field: str, low: int, high: int) -> int | None:
        """A duration in microseconds from `low` to `high`, or None."""
        value = self.get(field)
        if value is None:
            return None
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            detail = f'{shown(value)}: a duration is a number with ms, s, m or h, such as "90s"'
            self.note(field, "invalid", detail)
            return None
        microseconds = Decimal(match[1]) * _UNITS[match[2]]
        if microseconds != microseconds.to_integral_value() or not low <= microseconds <= high:
            detail = f"{value} is not within {duration_text(low)} and {duration_text(high)}"
            self.note(field, "range", detail)
            return None
        return int(microseconds)

    def flag(self, field: str, default: bool) -> bool:
        """True or false."""
        value = self.get(field)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.note(field, "type", f"{field} is true or false, not {shown(value)}")
            return default
        return value

    def choice(self, field: str, default: _Choice) -> _Choice:
        """One of the words of an enumeration."""
        value = self.get(field)
        if value is None:
            return default
        words = list(type(default))
        if value not in words:
            known = " or ".join(f"'{word}'" for word in words)
            self.note(field, "invalid", f"{shown(value)}: {field} is {known}")
            return default
        return type(default)(value)

    def text(self, field: str) -> str | None:
        """A text of reasonable length that the database can hold, or None."""
        value = self.get(field)
        if value is None:
            return None
        if not isinstance(value, str):
            self.note(field, "type", f"{field} is a text, not {shown(value)}")
            return None
        if problem := text_problem(value):
            self.note(field, "invalid", problem)
            return None
        return value

    def list(self, field: str, most: int) -> list[tuple[str, object]]:
        """The items of a list, each with its pointer; none where it was left out."""
        value = self.get(field)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            self.note(field, "type", f"{field} is a list, not {shown(value)}")
            return []
        if len(value) > most:
            self.note(field, "too_many", f"{len(value)} entries; at most {most} are allowed")
            return []
        return [(f"{self.where}/{field}/{i}", item) for i, item in enumerate(value)]

    def _refuse_unknown(self, known: set[str]) -> None:
        # A field that is passed over in silence looks to its sender as if it was obeyed.
        for key in sorted(str(k) for k in self._raw.keys() - known)[:_MAX_UNKNOWN]:
            names = ", ".join(sorted(known))
            self.note(key, "unknown", f"unknown field {shown(key)}; known here: {names}")


def text_problem(value: str) -> str:
    """Why a text cannot be taken, in words; empty when it can."""
    if len(value) > MAX_FIELD_TEXT:
        return f"{len(value)} characters; at most {MAX_FIELD_TEXT} are allowed"
    return storable_problem(value)

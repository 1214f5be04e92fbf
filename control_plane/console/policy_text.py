"""What stands in a field of the policy's form, and the JSON value that it means.

What cannot be read goes into the document as it was typed: the domain says what is wrong with
it, at its pointer, in the words that every other client is told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

_WHOLE = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)


@dataclass(frozen=True)
class Kind:
    """How one kind of value is typed: `read` takes a text that is not empty."""

    read: Callable[[str], Any]
    show: Callable[[Any], str]


def decimal_text(value: Any) -> str:
    """A number in digits, without an exponent; a text as it is.

    >>> [decimal_text(value) for value in (10, 0.5, 1e-06, 1000000000.0, "12.5")]
    ['10', '0.5', '0.000001', '1000000000', '12.5']
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    text = f"{Decimal(str(value)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def quoted(value: str) -> str:
    """A text as a field holds it: as it is, or as a JSON string where a field would alter it.

    Browsers end a line in their own way and people do not see the spaces around a text.

    >>> [quoted(value) for value in ("acme", " acme", "", 'the "one"')]
    ['acme', '" acme"', '""', 'the "one"']
    """
    plain = value and value.isprintable() and value == value.strip() and not value.startswith('"')
    return value if plain else json.dumps(value)


def unquoted(text: str) -> str:
    """The text that a field means; the inverse of `quoted`."""
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text


def lines(values: list[Any]) -> str:
    """Several texts, one a line."""
    return "\n".join(quoted(str(value)) for value in values)


def texts(field: str) -> list[str]:
    """The inverse of `lines`; empty lines are none."""
    return [unquoted(line.strip()) for line in field.split("\n") if line.strip()]


def _whole(text: str) -> int | str:
    return int(text) if _WHOLE.fullmatch(text) else text


def _number(text: str) -> int | float | str:
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)


def _fraction(text: str) -> float | str:
    return float(Decimal(text) / 100) if _NUMBER.fullmatch(text) else text


def _percent_text(fraction: Any) -> str:
    return decimal_text(float(Decimal(str(fraction)) * 100))


def _object(text: str) -> Any:
    """JSON, or the text as it is: the domain says that it is no object."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _object_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


OBJECT = Kind(_object, _object_text)
"""Typed as JSON: what has no field of its own."""

FLAG = Kind(lambda text: text == "on", lambda value: "on" if value else "")
"""A box that is ticked."""

TEXT = Kind(str, decimal_text)
"""Durations, times and percents: the document takes them as texts."""

NAMES = Kind(
    lambda text: [name.strip() for name in text.split(",") if name.strip()],
    lambda value: ", ".join(map(str, value)),
)
"""Names with commas between them."""

QUOTED = Kind(unquoted, quoted)
WHOLE = Kind(_whole, decimal_text)
NUMBER = Kind(_number, decimal_text)
FRACTION = Kind(_fraction, _percent_text)
"""Typed as a percent, a fraction from 0 to 1 in the document."""

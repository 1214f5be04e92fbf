"""Serializer fields that take what they are meant to take, and nothing that looks like it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from rest_framework import serializers

from control_plane.domain.stored_json import MAX_TEXT
from control_plane.domain.violations import InvalidInputError, Violation


class TextField(serializers.CharField):
    """A JSON string, kept as it was sent: numbers are no text, and nothing is trimmed."""

    default_error_messages = {"invalid": "not a string"}  # noqa: RUF012 - DRF's own form

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False, "max_length": MAX_TEXT, **options})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return data


class WholeNumberField(serializers.IntegerField):
    """A JSON integer: no string, no fraction, no truth value."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class FlagField(serializers.BooleanField):
    """A JSON truth value: nothing that reads like one."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class NumberField(serializers.FloatField):
    """A JSON number: no string that spells one."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return float(data)


class TruthField(serializers.BooleanField):
    """A JSON truth value: no word and no number that stands for one."""

    default_error_messages = {"invalid": "not true or false"}  # noqa: RUF012 - DRF's own form

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


class MomentField(serializers.DateTimeField):
    """A time of RFC 3339, with its offset: without one it could mean any hour of the day."""

    default_error_messages = {"invalid": "a time looks like 2026-11-24T13:00:00Z"}  # noqa: RUF012

    def to_internal_value(self, value: Any) -> datetime:
        moment = _moment(value) if isinstance(value, str) else None
        if moment is None:
            raise serializers.ValidationError(self.error_messages["invalid"], "invalid")
        return moment


def read_flag(text: str, pointer: str) -> bool:
    """A truth value from a query; empty is false.

    Raises:
        InvalidInputError: it is neither.
    """
    if text not in ("", "true", "false"):
        raise InvalidInputError([Violation(pointer, "invalid", "not true or false")])
    return text == "true"


def read_moment(text: str, pointer: str) -> datetime:
    """A time of RFC 3339 from a query.

    Raises:
        InvalidInputError: it is none, or has no offset and could mean any hour of the day.
    """
    moment = _moment(text)
    if moment is None:
        detail = f"{text[:80]!r}: a time looks like 2026-11-24T13:00:00Z"
        raise InvalidInputError([Violation(pointer, "invalid", detail)])
    return moment


def _moment(text: str) -> datetime | None:
    try:
        moment = parse_datetime(text)
        return moment.astimezone(UTC) if moment and moment.tzinfo else None
    except (ValueError, OverflowError):
        return None

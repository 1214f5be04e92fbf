"""Serializer fields that take what they are meant to take, and nothing that looks like it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from control_plane.domain.stored_json import MAX_TEXT


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


class NumberField(serializers.FloatField):
    """A JSON number: no string that spells one."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return float(data)

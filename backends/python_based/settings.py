"""The parameters of a configuration, read with their reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Read by the Python backend that runs us.
PYTHON_BACKEND = ("EXECUTION_ENV_PATH", "FORCE_CPU_ONLY_INPUT_TENSORS")


class SettingError(ValueError):
    """A parameter has a value that it cannot have; the message names both."""


def parameters(config: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: value.get("string_value", "") for key, value in config.get("parameters", {}).items()
    }


def integer(key: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise SettingError(f"parameter {key} must be a whole number, not {value!r}") from None


def boolean(key: str, value: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if value.lower() not in known:
        raise SettingError(f"parameter {key} must be true, false, 1 or 0, not {value!r}")
    return known[value.lower()]

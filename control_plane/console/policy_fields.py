"""The fields of the policy's form: their names, and where their values stand in the document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from control_plane.console.policy_text import (
    FLAG,
    FRACTION,
    NAMES,
    NUMBER,
    OBJECT,
    TEXT,
    WHOLE,
    Kind,
)

PARTS: Mapping[str, Mapping[str, Kind]] = {
    "objective": {
        "alpha": NUMBER,
        "beta": NUMBER,
        "gamma": NUMBER,
        "delta": NUMBER,
        "explore": FRACTION,
    },
    "breaker": {
        "consecutive_failures": WHOLE,
        "failure_rate": FRACTION,
        "min_requests": WHOLE,
        "window": TEXT,
        "open": TEXT,
        "max_open": TEXT,
        "latency": TEXT,
    },
    "slow_start": {"window": TEXT, "aggression": NUMBER},
    "rescue": {"budget_percent": TEXT, "floor": WHOLE},
    "confidence": {"output": TEXT, "scores": TEXT},
    "sequences": {"on_change": TEXT, "idle": TEXT},
}
"""Parts of the document that are one object each."""

ARM: Mapping[str, Kind] = {
    "weight": TEXT,
    "cost": NUMBER,
    "accuracy": NUMBER,
    "capacity": WHOLE,
    "max_in_flight": WHOLE,
    "timeout": TEXT,
    "twin": FLAG,
    "overrides": OBJECT,
}
ALLOWANCE: Mapping[str, Kind] = {
    "attempts": WHOLE,
    "failures": WHOLE,
    "until": TEXT,
    "grant": TEXT,
    "servers": NAMES,
}
SHADOW: Mapping[str, Kind] = {"percent": TEXT, "max_in_flight": WHOLE, "compare": TEXT}

STICKY = ("source", "name", "salt")
SWITCH = "on"
"""The name, and the value, of the field that switches a part on."""

ARM_NAMES = ("name", "version", "overflow", *ARM, *ALLOWANCE)
LIMITS = (
    *("max_in_flight", "overflow", "timeout", "cost", "accuracy", "capacity"),
    *("twin", "overrides"),
    *ALLOWANCE,
)
"""Fields of an arm that are folded away."""

RULE_NAMES = ("arm",)
CONDITION_NAMES = ("source", "name", "test", "values")
SHADOW_NAMES = ("arm", *SHADOW)


@dataclass(frozen=True)
class Box:
    """One field as the page shows it."""

    name: str
    value: str
    errors: tuple[str, ...]

    @property
    def rows(self) -> int:
        """How tall the field is for what is in it."""
        return min(8, 1 + self.value.count("\n"))


class Group:
    """Fields that belong together: what was typed, and what is wrong with it.

    `group["timeout"]` is that field; the errors of the whole group are under `""`.
    """

    def __init__(self, prefix: str, values: Mapping[str, str]) -> None:
        self.prefix = prefix
        self.values = dict(values)
        self.errors: dict[str, list[str]] = {}

    @classmethod
    def posted(cls, prefix: str, names: Iterable[str], data: QueryDict) -> Group:
        """The fields of that prefix, as they were sent; what was not sent is empty."""
        return cls(prefix, typed(prefix, names, data))

    def __getitem__(self, name: str) -> Box:
        value = self.values[name]  # a template asks for attributes in this way first
        return Box(f"{self.prefix}{name}", value, tuple(self.errors.get(name, ())))

    @property
    def own_errors(self) -> list[str]:
        """What is wrong with the whole group."""
        return self.errors.get("", [])

    @property
    def wrong(self) -> bool:
        return bool(self.errors)

    @property
    def on(self) -> bool:
        return self.values.get(SWITCH) == SWITCH

    def note(self, name: str, detail: str) -> None:
        """Notes what is wrong with a field, or with the group where it has no such field."""
        found = self.errors.setdefault(name if name in self.values else "", [])
        if detail not in found:
            found.append(detail)

    def read(self, kinds: Mapping[str, Kind]) -> dict[str, Any]:
        """The values of these fields as the document has them; empty ones are left out."""
        return {
            name: kind.read(self.values[name]) for name, kind in kinds.items() if self.values[name]
        }


def typed(prefix: str, names: Iterable[str], data: QueryDict) -> dict[str, str]:
    """What was typed into these fields, without the spaces around it."""
    sent = ((name, data.get(f"{prefix}{name}", "")) for name in names)
    return {name: text.replace("\r\n", "\n").strip() for name, text in sent}


def shown(document: Mapping[str, Any], kinds: Mapping[str, Kind]) -> dict[str, str]:
    """The texts of these fields for a document; what it does not have is empty."""
    return {
        name: "" if document.get(name) is None else kind.show(document[name])
        for name, kind in kinds.items()
    }


def part_names(part: str) -> tuple[str, ...]:
    """The fields of a part of the form."""
    return (SWITCH, *PARTS[part])

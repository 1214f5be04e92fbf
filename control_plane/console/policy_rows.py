"""The rows of the policy's form: arms, rules with their conditions, shadows.

Rules, shadows and overflows name an arm by the key of its row, so that they follow it when its
name is changed, and notice when it is removed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.http import QueryDict

from control_plane.console.policy_fields import (
    ALLOWANCE,
    ARM,
    ARM_NAMES,
    CONDITION_NAMES,
    LIMITS,
    RULE_NAMES,
    SHADOW,
    SHADOW_NAMES,
    Group,
    shown,
    typed,
)
from control_plane.console.policy_text import lines, quoted, texts, unquoted
from control_plane.domain.routing.policy import Match
from control_plane.domain.routing.read_arms import default_arm_name

VERSION = re.compile(r"[a-z0-9_-]+:[0-9]{1,9}")
REFUSE = "refuse"
REMOVED = "(removed)"
"""No name an arm can have: what still leads to a removed arm is told so by the domain."""

_KEY = re.compile(r"[0-9]{1,6}", re.ASCII)

ArmKeys = Mapping[str, str]
"""The name of an arm -> the key of its row."""

ArmNames = Mapping[str, str]
"""The key of a row -> the name of its arm."""


def keys(data: QueryDict, name: str) -> list[str]:
    """The keys of rows in their order, each once."""
    return [key for key in dict.fromkeys(data.getlist(name)) if _KEY.fullmatch(key)]


class ArmRow(Group):
    """One arm."""

    def __init__(self, key: str, values: Mapping[str, str], primary: bool = False) -> None:
        super().__init__(f"arm.{key}.", values)
        self.key = key
        self.primary = primary

    @classmethod
    def blank(cls, key: str, **values: str) -> ArmRow:
        return cls(key, {**dict.fromkeys(ARM_NAMES, ""), **values})

    @classmethod
    def of(cls, key: str, arm: Mapping[str, Any], arms: ArmKeys) -> ArmRow:
        overflow = ""
        if "overflow" in arm:
            overflow = REFUSE if arm["overflow"] is None else arms[arm["overflow"]]
        values = {
            "name": arm["name"],
            # Models and pipelines share their names: which it is, the server knows.
            "version": f"{arm.get('model') or arm['pipeline']}:"
            f"{arm.get('version') or arm['revision']}",
            "overflow": overflow,
            **shown(arm, ARM),
            **shown(arm.get("allowance") or {}, ALLOWANCE),
        }
        if not arm.get("cost"):  # of no account, as if it was not given
            values["cost"] = ""
        return cls(key, values, arm["primary"])

    @classmethod
    def read_post(cls, key: str, data: QueryDict) -> ArmRow:
        values = typed(f"arm.{key}.", ARM_NAMES, data)
        return cls(key, values, primary=data.get("primary") == key)

    @property
    def version(self) -> str:
        return self.values["version"]

    @property
    def called(self) -> str:
        """The name it has: the one that was typed, or the one it gets from its version."""
        model, _, number = self.version.partition(":")
        if self.values["name"] or not VERSION.fullmatch(self.version):
            return self.values["name"]
        return default_arm_name(model, int(number), twin=bool(self.values["twin"]))

    @property
    def limited(self) -> bool:
        """True when something wrong is among the fields that are folded away."""
        return any(name in self.errors for name in LIMITS)

    def document(self, names: ArmNames) -> dict[str, Any]:
        model, _, number = self.version.partition(":")
        arm: dict[str, Any] = {"name": self.values["name"]} if self.values["name"] else {}
        arm |= {
            "model": model,
            "version": int(number) if VERSION.fullmatch(self.version) else None,
            "primary": self.primary,
            "weight": None,
            **self.read(ARM),
        }
        if allowance := self.read(ALLOWANCE):
            arm["allowance"] = allowance
        if overflow := self.values["overflow"]:
            arm["overflow"] = None if overflow == REFUSE else names.get(overflow, REMOVED)
        return arm


class RuleRow(Group):
    """One rule; all of its conditions have to hold."""

    def __init__(self, key: str, values: Mapping[str, str], conditions: list[Group]) -> None:
        super().__init__(f"rule.{key}.", values)
        self.key = key
        self.conditions = conditions

    @classmethod
    def blank(cls, key: str, condition: str) -> RuleRow:
        return cls(key, dict.fromkeys(RULE_NAMES, ""), [blank_condition(key, condition)])

    @classmethod
    def of(cls, key: str, rule: Mapping[str, Any], arms: ArmKeys) -> RuleRow:
        tests = [
            (look, test, values)
            for look, compared in rule["when"].items()
            for test, values in compared.items()
        ]
        conditions = [
            _condition(key, str(i + 1), look, test, values)
            for i, (look, test, values) in enumerate(tests)
        ]
        return cls(key, {"arm": arms[rule["arm"]]}, conditions)

    @classmethod
    def read_post(cls, key: str, data: QueryDict) -> RuleRow:
        prefix = f"rule.{key}."
        conditions = [
            Group.posted(f"{prefix}{one}.", CONDITION_NAMES, data)
            for one in keys(data, f"{prefix}condition")
        ]
        return cls(key, typed(prefix, RULE_NAMES, data), conditions)

    @property
    def numbered(self) -> list[tuple[str, Group]]:
        """Each condition with its key."""
        return [(c.prefix.split(".")[2], c) for c in self.conditions]

    @property
    def wrong(self) -> bool:
        return bool(self.errors) or any(condition.wrong for condition in self.conditions)

    def document(self, names: ArmNames) -> dict[str, Any]:
        when: dict[str, dict[str, Any]] = {}
        for condition in self.conditions:
            when.setdefault(look_of(condition), {})[condition.values["test"]] = _compared(condition)
        return {"when": when, "arm": names.get(self.values["arm"])}

    def clashes(self) -> bool:
        """Notes conditions that the document could hold only one of; False where there are none."""
        seen: set[tuple[str, str]] = set()
        for condition in self.conditions:
            said = (look_of(condition), condition.values["test"])
            if said in seen:
                condition.note("test", "compared in this way above already: say it in one row")
            seen.add(said)
        return len(seen) < len(self.conditions)


class ShadowRow(Group):
    """One shadow."""

    def __init__(self, key: str, values: Mapping[str, str]) -> None:
        super().__init__(f"shadow.{key}.", values)
        self.key = key

    @classmethod
    def blank(cls, key: str) -> ShadowRow:
        return cls(key, dict.fromkeys(SHADOW_NAMES, ""))

    @classmethod
    def of(cls, key: str, shadow: Mapping[str, Any], arms: ArmKeys) -> ShadowRow:
        return cls(key, {"arm": arms[shadow["arm"]], **shown(shadow, SHADOW)})

    @classmethod
    def read_post(cls, key: str, data: QueryDict) -> ShadowRow:
        return cls(key, typed(f"shadow.{key}.", SHADOW_NAMES, data))

    def document(self, names: ArmNames) -> dict[str, Any]:
        return {"arm": names.get(self.values["arm"]), **self.read(SHADOW)}


def look_of(condition: Group) -> str:
    """Where a condition looks, as the document has it: `header:x-user-id`."""
    return f"{condition.values['source']}:{unquoted(condition.values['name'])}"


def blank_condition(rule: str, key: str) -> Group:
    """A condition that nobody has filled in."""
    values = {"source": "header", "name": "", "test": Match.EQUALS.value, "values": ""}
    return Group(f"rule.{rule}.{key}.", values)


def _condition(rule: str, key: str, look: str, test: str, values: Any) -> Group:
    source, _, name = look.partition(":")
    fields = {
        "source": source,
        "name": quoted(name),
        "test": test,
        "values": lines(values if isinstance(values, list) else [values]),
    }
    return Group(f"rule.{rule}.{key}.", fields)


def _compared(condition: Group) -> Any:
    """The value of a test; several where one is wanted stay a list, for the domain to refuse."""
    found = texts(condition.values["values"])
    if condition.values["test"] == Match.IN or len(found) > 1:
        return found
    return found[0] if found else None

"""A policy as a form: read from a document or a POST, and made a document again.

The rules are the domain's: a draft holds what was typed, and shows what `parse_policy` and the
services say of it, each violation at its field.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from control_plane.console.policy_fields import (
    PARTS,
    STICKY,
    SWITCH,
    Group,
    part_names,
    shown,
)
from control_plane.console.policy_pointers import show
from control_plane.console.policy_rows import ArmRow, RuleRow, ShadowRow, keys
from control_plane.console.policy_text import quoted, unquoted
from control_plane.domain.routing.document import parse_policy, to_document
from control_plane.domain.routing.policy import (
    Breaker,
    Confidence,
    Objective,
    RoutingPolicy,
    SlowStart,
    Source,
)
from control_plane.domain.violations import InvalidInputError

ADAPTIVE = "adaptive"

_WHERE_OFF = to_document(
    RoutingPolicy(
        arms=(),
        breaker=Breaker(),
        confidence=Confidence(""),
        slow_start=SlowStart(),
        objective=Objective(alpha=1, gamma=1, explore_parts=200),
    )
)
"""What stands in the fields of a part that is off, for whoever switches it on."""


@dataclass
class PolicyDraft:
    """The fields, and what is wrong with the whole."""

    rows: list[ArmRow]
    rules: list[RuleRow]
    shadows: list[ShadowRow]
    mode: Group
    sticky: Group
    parts: dict[str, Group]
    errors: list[str] = field(default_factory=list)

    @classmethod
    def from_policy(cls, policy: Mapping[str, Any] | None) -> PolicyDraft:
        """The form of a policy that was accepted, be it of long ago; None is a new one."""
        parsed = parse_policy(policy) if policy else RoutingPolicy(arms=())
        document = to_document(parsed)
        arms = {arm["name"]: str(i + 1) for i, arm in enumerate(document["arms"])}
        return cls(
            rows=[ArmRow.of(arms[arm["name"]], arm, arms) for arm in document["arms"]],
            rules=[RuleRow.of(str(i + 1), rule, arms) for i, rule in enumerate(document["rules"])],
            shadows=[
                ShadowRow.of(str(i + 1), shadow, arms)
                for i, shadow in enumerate(document["shadow"])
            ],
            mode=Group("", {"mode": document["mode"]}),
            sticky=Group("sticky.", _sticky_texts(document["sticky"])),
            parts={name: _part(name, document[name]) for name in PARTS},
        )

    @classmethod
    def from_post(cls, data: QueryDict) -> PolicyDraft:
        """The rows in their order; `primary` names one of the arms by its key."""
        return cls(
            rows=[ArmRow.read_post(key, data) for key in keys(data, "arm")],
            rules=[RuleRow.read_post(key, data) for key in keys(data, "rule")],
            shadows=[ShadowRow.read_post(key, data) for key in keys(data, "shadow")],
            mode=Group.posted("", ("mode",), data),
            sticky=Group.posted("sticky.", STICKY, data),
            parts={name: Group.posted(f"{name}.", part_names(name), data) for name in PARTS},
        )

    @property
    def wrong(self) -> bool:
        groups = [*self.rows, *self.rules, *self.shadows, self.mode, self.sticky]
        return bool(self.errors) or any(g.wrong for g in [*groups, *self.parts.values()])

    @property
    def rules_wrong(self) -> bool:
        return any(rule.wrong for rule in self.rules)

    @property
    def shadows_wrong(self) -> bool:
        return any(shadow.wrong for shadow in self.shadows)

    def document(self) -> dict[str, Any]:
        """The policy document, as the API takes it."""
        names = {row.key: row.called for row in self.rows}
        mode = self.mode.values["mode"] or "weighted"
        rescue = self.parts["rescue"]
        return {
            "mode": mode,
            "objective": self._read("objective") if mode == ADAPTIVE else None,
            "arms": [row.document(names) for row in self.rows],
            "sticky": self._sticky(),
            "rules": [rule.document(names) for rule in self.rules],
            "shadow": [shadow.document(names) for shadow in self.shadows],
            "confidence": self._switched("confidence"),
            "breaker": self._switched("breaker"),
            "slow_start": self._switched("slow_start"),
            # Off, it keeps its numbers for the day it is switched on again.
            "rescue": {"enabled": rescue.on, **self._read("rescue")},
            "sequences": self._read("sequences"),
        }

    def digest(self) -> str:
        """Tells whether what is applied is what was previewed."""
        return hashlib.sha256(json.dumps(self.document()).encode()).hexdigest()

    def clashes(self) -> bool:
        """Notes what could not be told apart in a document; False where there is nothing."""
        clashing = [rule for rule in self.rules if rule.clashes()]
        return bool(clashing)

    def show(self, refusal: InvalidInputError) -> None:
        """Puts each violation at its field, or above them all."""
        for violation in refusal.violations:
            show(self, violation)

    def _read(self, part: str) -> dict[str, Any]:
        return self.parts[part].read(PARTS[part])

    def _switched(self, part: str) -> dict[str, Any] | None:
        return self._read(part) if self.parts[part].on else None

    def _sticky(self) -> dict[str, Any] | None:
        source, name, salt = (self.sticky.values[field] for field in STICKY)
        if not source:
            return None
        key = source if source == Source.SEQUENCE else f"{source}:{unquoted(name)}"
        return {"key": key, "salt": unquoted(salt)} if salt else {"key": key}


def _sticky_texts(sticky: Mapping[str, Any] | None) -> dict[str, str]:
    source, _, name = (sticky or {"key": ""})["key"].partition(":")
    salt = (sticky or {}).get("salt")
    return {
        "source": source,
        "name": quoted(name) if name else "",
        "salt": "" if salt is None else quoted(salt),
    }


def _part(name: str, document: Mapping[str, Any] | None) -> Group:
    on = bool(document) and (document or {}).get("enabled", True)
    values = shown(document or _WHERE_OFF[name], PARTS[name])
    return Group(f"{name}.", {SWITCH: SWITCH if on else "", **values})

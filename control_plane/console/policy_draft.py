"""A policy as rows of a form: read from a document or a POST, and made a document again.

The rules are the domain's: a draft holds what was typed, and shows what `parse_policy` and the
services say of it, each violation at its row.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from control_plane.domain.violations import InvalidInputError, Violation
from control_plane.registry.models import ModelVersion, VersionState

CHOICES = 500
"""Versions offered beside those the policy uses; a select with more is no help to anybody."""

_POINTER = re.compile(r"/arms/(\d+)(?:/(\w+))?")
_VERSION = re.compile(r"[a-z0-9_-]+:[0-9]{1,9}")


@dataclass
class ArmRow:
    """One row: what was typed, and what is wrong with it by field (`""`: the row)."""

    name: str = ""
    version: str = ""
    weight: str = ""
    primary: bool = False
    errors: dict[str, list[str]] = field(default_factory=dict)

    @property
    def all_errors(self) -> list[str]:
        return [text for texts in self.errors.values() for text in texts]


@dataclass
class PolicyDraft:
    """The rows, and what is wrong with the whole."""

    rows: list[ArmRow]
    errors: list[str] = field(default_factory=list)

    @classmethod
    def from_policy(cls, policy: Mapping[str, Any] | None) -> PolicyDraft:
        arms = (policy or {}).get("arms", [])
        return cls(
            [
                ArmRow(
                    name=arm["name"],
                    version=f"{arm['model']}:{arm['version']}",
                    weight=str(arm["weight"]),
                    primary=arm["primary"],
                )
                for arm in arms
            ]
        )

    @classmethod
    def from_post(cls, data: QueryDict) -> PolicyDraft:
        """The rows in their order; `primary` names one of them by its key."""
        keys = data.getlist("key")
        columns = (data.getlist(name) for name in ("name", "version", "weight"))
        primary = data.get("primary")
        return cls(
            [
                ArmRow(name.strip(), version, weight.strip(), primary=key == primary)
                for key, name, version, weight in zip(keys, *columns, strict=False)
            ]
        )

    def document(self) -> dict[str, Any]:
        """The policy document, as the API takes it."""
        return {"arms": [_arm(row) for row in self.rows]}

    def digest(self) -> str:
        """Tells whether what is applied is what was previewed."""
        return hashlib.sha256(json.dumps(self.document()).encode()).hexdigest()

    def show(self, refusal: InvalidInputError) -> None:
        """Puts each violation at its row, or above them all."""
        for violation in refusal.violations:
            self._show(violation)

    def _show(self, violation: Violation) -> None:
        match = _POINTER.fullmatch(violation.pointer)
        if match is None or int(match[1]) >= len(self.rows):
            self.errors.append(violation.detail)
            return
        row = self.rows[int(match[1])]
        if match[2] == "name" and not row.name:
            return  # derived from the version, which has a violation of its own
        # One select names model and version, so what is wrong with either is shown there.
        at = {"model": "version", None: ""}.get(match[2], match[2] or "")
        detail = "choose a version" if at == "version" and not row.version else violation.detail
        texts = row.errors.setdefault(at, [])
        if detail not in texts:
            texts.append(detail)


@dataclass(frozen=True)
class Choice:
    """One version that an arm can be."""

    value: str
    label: str
    model: str


def version_choices(used: Iterable[str]) -> list[Choice]:
    """Ready versions, newest first within their model; those in use are always among them."""
    ready = ModelVersion.objects.filter(state=VersionState.READY).select_related("model")
    newest = list(ready.order_by("-created_at")[:CHOICES])
    offered = {f"{version.model.name}:{version.number}": version for version in newest}
    missing = {value for value in used if _VERSION.fullmatch(value)} - offered.keys()
    choices = [_choice(value, version) for value, version in offered.items()]
    choices += [Choice(value, f"{value} (not ready)", value.partition(":")[0]) for value in missing]
    return sorted(choices, key=lambda c: (c.model, -int(c.value.partition(":")[2])))


def _choice(value: str, version: ModelVersion) -> Choice:
    # In a select there is room for the two that come first by name.
    metrics = ", ".join(
        f"{name} {number:.4g}" for name, number in sorted(version.metrics.items())[:2]
    )
    label = f"{version.model.name} v{version.number}"
    return Choice(value, f"{label} ({metrics})" if metrics else label, version.model.name)


def _arm(row: ArmRow) -> dict[str, Any]:
    model, _, number = row.version.partition(":")
    arm: dict[str, Any] = {
        "model": model,
        "version": int(number) if _VERSION.fullmatch(row.version) else None,
        "weight": row.weight or None,
        "primary": row.primary,
    }
    return {"name": row.name, **arm} if row.name else arm

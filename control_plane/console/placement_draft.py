"""A placement as it is written in the console's form, and what is wrong with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from control_plane.domain.placement.wanted import Look, Requirement, parse_wanted
from control_plane.domain.stored_json import pointer_part
from control_plane.domain.violations import InvalidInputError, Violation

ABSENT = "absent"
TESTS = {
    Look.IN.value: "is one of",
    Look.NOT_IN.value: "is none of",
    Look.EXISTS.value: "is set",
    ABSENT: "is not set",
}
NAMES = ("label.key", "label.test", "label.values")
SPARE = 1
"""Empty rows at the end, for those without script."""


@dataclass
class LabelRow:
    """What a label of a server has to be."""

    key: str = ""
    test: str = Look.IN.value
    values: str = ""
    errors: list[str] = field(default_factory=list)

    @property
    def pointer(self) -> str:
        return f"/servers/{pointer_part(self.key)}"

    def requirement(self) -> Any:
        """The row in the shape of the document."""
        if self.test in (Look.EXISTS.value, ABSENT):
            return {Look.EXISTS.value: self.test != ABSENT}
        return {self.test: [value.strip() for value in self.values.split(",") if value.strip()]}

    @classmethod
    def of(cls, one: Requirement) -> LabelRow:
        absent = one.test is Look.EXISTS and not one.wanted
        return cls(one.label, ABSENT if absent else one.test.value, ", ".join(one.values))


@dataclass
class PlacementDraft:
    """The fields of the form; `errors` are by field, those of the whole under `""`."""

    rows: list[LabelRow] = field(default_factory=list)
    replicas: str = ""
    spread: str = ""
    required: bool = False
    errors: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> PlacementDraft:
        """What an endpoint's placement says; None: nothing, so every server."""
        wanted = parse_wanted(document or {})
        return cls(
            rows=[LabelRow.of(one) for one in wanted.servers],
            replicas="" if wanted.replicas is None else str(wanted.replicas),
            spread=wanted.spread.label if wanted.spread else "",
            required=bool(wanted.spread and wanted.spread.required),
        )

    @classmethod
    def sent(cls, form: QueryDict) -> PlacementDraft:
        lines = zip(*(form.getlist(name) for name in NAMES), strict=False)
        rows = [LabelRow(key.strip(), test, values.strip()) for key, test, values in lines]
        return cls(
            # One in which nothing is written is no row, whatever is chosen there.
            rows=[row for row in rows if row.key or row.values],
            replicas=form.get("replicas", "").strip(),
            spread=form.get("spread", "").strip(),
            required="required" in form,
        )

    @property
    def shown(self) -> list[LabelRow]:
        """The rows with the empty ones behind them."""
        return [*self.rows, *(LabelRow() for _ in range(SPARE))]

    @property
    def wrong(self) -> bool:
        return bool(self.errors) or any(row.errors for row in self.rows)

    def document(self) -> dict[str, Any] | None:
        """What is written, as `parse_wanted` reads it; None: nothing is, so every server.

        A label that stands twice is noted at its second row.
        """
        found: dict[str, Any] = {}
        servers: dict[str, Any] = {}
        for row in self.rows:
            if row.key in servers:
                row.errors.append("this label stands twice: one row has all of its values")
            servers[row.key] = row.requirement()
        if servers:
            found["servers"] = servers
        if self.replicas:
            # What is no number is refused with the rest.
            whole = self.replicas.isascii() and self.replicas.isdigit()
            found["replicas"] = int(self.replicas[:9]) if whole else self.replicas
        if self.spread:
            found["spread"] = {"label": self.spread, "required": self.required}
        return found or None

    def digest(self) -> str:
        """Of what is written: only what was previewed is applied."""
        text = json.dumps(self.document(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def show(self, refusal: InvalidInputError) -> None:
        """Puts each violation at the row or field that it is about."""
        for violation in refusal.violations:
            if not self._at_its_row(violation):
                name = violation.pointer.strip("/").partition("/")[0]
                self.errors.setdefault(name if name in ("replicas", "spread") else "", []).append(
                    violation.detail
                )

    def _at_its_row(self, violation: Violation) -> bool:
        for row in self.rows:
            if violation.pointer == row.pointer or violation.pointer.startswith(f"{row.pointer}/"):
                row.errors.append(violation.detail)
                return True
        return False

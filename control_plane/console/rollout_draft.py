"""A rollout as a form: what was typed, the document that makes of it, and what is wrong with it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.http import QueryDict

from control_plane.console.policy_rows import VERSION
from control_plane.console.step_rows import CANARY_STEPS, StepRow, rows_of, sent_rows
from control_plane.domain.rollout.document import PROGRESS_DEADLINE, WATCH
from control_plane.domain.rollout.read_steps import strategy_document
from control_plane.domain.rollout.steps import (
    DEFAULT_CANARY,
    DEFAULT_COPIES,
    DEFAULT_TEMPLATE,
    SHADOW_TEMPLATE,
    Kind,
    Ramp,
    Strategy,
)
from control_plane.domain.routing.fields import duration_text
from control_plane.domain.routing.policy import percent
from control_plane.domain.violations import InvalidInputError, Violation

_FIELDS = {
    "to": "",
    "kind": Kind.CANARY.value,
    "from": f"{percent(Ramp.first):g}",
    "most": f"{percent(Ramp.most):g}",
    "copies": f"{percent(DEFAULT_COPIES.parts):g}",
    "compare": "",
    "judged_by": SHADOW_TEMPLATE,
    "harm": "",
    "confidence": "",
    "watch": duration_text(WATCH),
    "watched_by": DEFAULT_TEMPLATE,
    "deadline": duration_text(PROGRESS_DEADLINE),
    "reason": "",
}
_POINTERS = {
    "/to": "to",
    "/harmBudget/failedRequests": "harm",
    "/harmBudget/confidence": "confidence",
    "/harmBudget": "harm",
    "/watch": "watch",
    "/progressDeadline": "deadline",
    "/reason": "reason",
    "/strategy/canary/steps": "steps",
    "/strategy/progressive/from": "from",
    "/strategy/progressive/to": "most",
    "/strategy/progressive/analysis": "watched_by",
    "/strategy/shadowFirst/percent": "copies",
    "/strategy/shadowFirst/compare": "compare",
    "/strategy/shadowFirst/shadowAnalysis": "judged_by",
    "/strategy/shadowFirst/steps": "steps",
    "/strategy/shadowFirst/analysis": "watched_by",
    "/strategy/canary/analysis": "watched_by",
    "/strategy/blueGreen/analysis": "watched_by",
    "/strategy": "steps",
}
"""Where what is wrong with the document stands in the form: the longest beginning that fits."""


_STEPPED = frozenset({Kind.CANARY.value, Kind.SHADOW_FIRST.value})
"""Strategies whose steps are typed."""


class RolloutDraft:
    """The fields of the form; `errors` are by field, those of the whole under `""`."""

    def __init__(self, endpoint: str, form: QueryDict | None, to: str = "") -> None:
        self.endpoint = endpoint
        self.errors: dict[str, list[str]] = {}
        self.texts = _FIELDS | {"to": to}
        self.dry_run = self.supersede = False
        inner = strategy_document(Strategy(Kind.CANARY, DEFAULT_CANARY))[Kind.CANARY.value]
        self.steps: list[StepRow] = rows_of(inner["steps"])
        if form is not None:
            self.texts |= {name: str(form[name]) for name in _FIELDS if name in form}
            self.dry_run, self.supersede = "dry_run" in form, "supersede" in form
            if self.kind in _STEPPED:
                self.steps = sent_rows(form)

    @property
    def kind(self) -> str:
        return self.texts["kind"]

    @property
    def wrong(self) -> bool:
        return bool(self.errors) or any(row.errors for row in self.steps)

    def document(self) -> dict[str, Any]:
        """What the service is asked for."""
        inner: dict[str, Any] = {"analysis": {"templates": _names(self.texts["watched_by"])}}
        if self.kind in _STEPPED:
            inner["steps"] = [row.document() for row in self.steps]
        if self.kind == Kind.PROGRESSIVE.value:
            inner |= {"from": _percent(self.texts["from"]), "to": _percent(self.texts["most"])}
        if self.kind == Kind.SHADOW_FIRST.value:
            inner |= {
                "percent": _percent(self.texts["copies"]),
                "compare": self.texts["compare"].strip() or None,
                "shadowAnalysis": {"templates": _names(self.texts["judged_by"])},
            }
        harm: dict[str, Any] = {}
        if self.texts["harm"].strip():
            harm["failedRequests"] = _whole(self.texts["harm"])
        if self.texts["confidence"].strip():
            harm["confidence"] = _decimal(self.texts["confidence"])
        return {
            "endpoint": self.endpoint,
            "to": self._to(),
            "strategy": {self.kind: inner},
            "harmBudget": harm,
            "watch": self.texts["watch"].strip() or "0s",
            "progressDeadline": self.texts["deadline"].strip() or _FIELDS["deadline"],
            "dryRun": self.dry_run,
            "supersede": self.supersede,
            "reason": self.texts["reason"].strip(),
        }

    def digest(self) -> str:
        """Of what the preview was made of; the reason may still be written after it."""
        asked = {key: value for key, value in self.document().items() if key != "reason"}
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def refuse(self, refusal: InvalidInputError) -> None:
        """Puts each violation at the field or the step that it is about."""
        for violation in refusal.violations:
            at_step = CANARY_STEPS.match(violation.pointer)
            if at_step and int(at_step[1]) < len(self.steps):
                self.steps[int(at_step[1])].errors.append(violation.detail)
                continue
            self.say(*_placed(violation))

    def say(self, name: str, text: str) -> None:
        self.errors.setdefault(name, []).append(text)

    def _to(self) -> dict[str, Any] | None:
        found = VERSION.fullmatch(self.texts["to"].strip())
        if found is None:
            return None
        name, _, number = self.texts["to"].strip().partition(":")
        # Models and pipelines share their names: which it is, the server knows.
        return {"model": name, "version": int(number)}


def _placed(violation: Violation) -> tuple[str, str]:
    fitting = [one for one in _POINTERS if f"{violation.pointer}/".startswith(f"{one}/")]
    if fitting:
        return _POINTERS[max(fitting, key=len)], violation.detail
    return "", f"{violation.pointer}: {violation.detail}" if violation.pointer else violation.detail


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _percent(text: str) -> str | None:
    """As it was typed; without one the domain's own."""
    return text.removesuffix("%").strip().replace(",", ".") or None


def _whole(text: str) -> Any:
    """A number; what is none goes on as it is, and is refused in the domain's words."""
    return int(text) if text.strip().isascii() and text.strip().isdigit() else text.strip()


def _decimal(text: str) -> Any:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return text.strip()

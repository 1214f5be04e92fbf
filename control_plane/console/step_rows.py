"""The steps of a rollout as rows of a form: a word of Argo's, and what it says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

CANARY_STEPS = re.compile(r"/strategy/(?:canary|shadowFirst)/steps/([0-9]+)(/.*)?\Z")
_CONDITION = re.compile(r"(\S+)\s+(equals|in|prefix)\s+(.+)", re.DOTALL)


@dataclass(frozen=True)
class Word:
    """A kind of step, and what is to be typed beside it."""

    name: str
    hint: str
    about: str


WORDS = (
    Word("setWeight", "5", "the candidate's share of the requests, in percent"),
    Word("analysis", "default", "templates by name, with commas; goes on when all are good"),
    Word("pause", "60s", "how long; empty: until somebody resumes"),
    Word("approval", "", "a person lets it go on"),
    Word("setShadow", "10", "percent of the requests that are copied to it; 0 ends that"),
    Word(
        "setRule", "header:x-tenant-id in acme", "requests that go to it by name; empty ends that"
    ),
)


@dataclass
class StepRow:
    """One step as it was typed, with what is wrong about it."""

    kind: str
    value: str
    errors: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The step as the domain reads it; what cannot be read is for the domain to refuse."""
        return {self.kind: _READERS.get(self.kind, _percent)(self.value.strip())}

    @property
    def shown(self) -> str:
        return "" if self.kind == "approval" else self.value


def rows_of(steps: Iterable[Mapping[str, Any]]) -> list[StepRow]:
    """The rows of a strategy's steps."""
    rows = []
    for step in steps:
        kind, inner = next(iter(step.items()))
        rows.append(StepRow(kind, _text(kind, inner)))
    return rows


def sent_rows(form: QueryDict) -> list[StepRow]:
    """The rows that a form was sent with."""
    pairs = zip(form.getlist("step.kind"), form.getlist("step.value"), strict=False)
    return [StepRow(kind, value) for kind, value in pairs if kind]


def _text(kind: str, inner: Any) -> str:
    if kind == "pause":
        return str(inner.get("duration", ""))
    if kind == "analysis":
        return ", ".join(inner.get("templates", ()))
    if kind == "setShadow" and isinstance(inner, Mapping):
        return str(inner["percent"])
    if kind == "setRule":
        return " and ".join(
            f"{key} {match} {', '.join(value) if isinstance(value, list) else value}"
            for key, tests in inner.get("when", {}).items()
            for match, value in tests.items()
        )
    return "" if kind == "approval" else str(inner)


def _percent(text: str) -> str | None:
    """As it was typed: what is no percent is refused in the domain's words."""
    return text.removesuffix("%").strip().replace(",", ".") or None


def _pause(text: str) -> dict[str, Any]:
    return {"duration": text} if text else {}


def _analysis(text: str) -> dict[str, Any]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    return {"templates": names} if names else {}


def _rule(text: str) -> dict[str, Any]:
    if not text:
        return {}
    when: dict[str, dict[str, Any]] = {}
    for part in text.split(" and "):
        found = _CONDITION.fullmatch(part.strip())
        if found is None:
            when[part.strip()] = {}
            continue
        key, match, values = found.groups()
        listed = [value.strip() for value in values.split(",") if value.strip()]
        when.setdefault(key, {})[match] = listed if match == "in" else values.strip()
    return {"when": when}


_READERS = {
    "pause": _pause,
    "analysis": _analysis,
    "approval": lambda text: {},
    "setRule": _rule,
}

"""A placement as people write it: which servers, how many, and spread over what.

{"servers": {"tier": "gpu", "zone": {"in": ["a", "b"]}}, "replicas": 2, "spread": "zone"}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from control_plane.domain.placement.labels import key_problem, value_problem
from control_plane.domain.stored_json import pointer_part
from control_plane.domain.violations import InvalidInputError, Violation

MAX_REPLICAS = 1000
MAX_VALUES = 100


class Look(StrEnum):
    """How a label is looked at."""

    IN = "in"
    NOT_IN = "not_in"
    EXISTS = "exists"


@dataclass(frozen=True)
class Requirement:
    """What a label has to be; `values` is empty for `exists`, whose answer is `wanted`."""

    label: str
    test: Look
    values: tuple[str, ...] = ()
    wanted: bool = True

    def unmet(self, labels: Mapping[str, str]) -> str:
        """What of it a server does not meet, in words; empty when it does."""
        has = labels.get(self.label)
        if self.test is Look.EXISTS:
            if (has is not None) == self.wanted:
                return ""
            return f"has {'no' if self.wanted else 'the'} label {self.label}"
        said = f"{self.label} is {has}" if has is not None else f"has no label {self.label}"
        if self.test is Look.IN:
            return "" if has in self.values else f"{said}, and has to be {_either(self.values)}"
        return f"{said}, and must not be" if has in self.values else ""

    def to_document(self) -> Any:
        if self.test is Look.EXISTS:
            return {"exists": self.wanted}
        if self.test is Look.IN and len(self.values) == 1:
            return self.values[0]
        return {self.test.value: list(self.values)}


@dataclass(frozen=True)
class Spread:
    """That replicas lie apart by a label: evenly, or, where `required`, never two in one place."""

    label: str
    required: bool = False


@dataclass(frozen=True)
class Wanted:
    """A placement. Without `replicas`: every server that meets the requirements."""

    servers: tuple[Requirement, ...] = ()
    replicas: int | None = None
    spread: Spread | None = None

    def unmet(self, labels: Mapping[str, str]) -> str:
        """What a server of these labels does not meet, in words."""
        return "; ".join(filter(None, (one.unmet(labels) for one in self.servers)))

    def to_document(self) -> dict[str, Any]:
        """The JSON form, the same for the same placement."""
        document: dict[str, Any] = {"servers": {r.label: r.to_document() for r in self.servers}}
        if self.replicas is not None:
            document["replicas"] = self.replicas
        if self.spread:
            spread = {"label": self.spread.label, "required": True}
            document["spread"] = spread if self.spread.required else self.spread.label
        return document

    def in_words(self) -> str:
        """
        >>> Wanted(replicas=2, spread=Spread("zone")).in_words()
        '2 of all servers, spread by zone'
        """
        which = [f"{r.label} {_test_in_words(r)}" for r in self.servers]
        servers = f"the servers with {', '.join(which)}" if which else "all servers"
        text = servers if self.replicas is None else f"{self.replicas} of {servers}"
        if self.spread:
            apart = "never two in one" if self.spread.required else "spread by"
            text += f", {apart} {self.spread.label}"
        return text


EVERYWHERE = Wanted()
"""What holds where nobody said anything."""


def parse_wanted(document: object, where: str = "") -> Wanted:
    """The placement of a document.

    Raises:
        InvalidInputError: with every rule that is broken.
    """
    found: list[Violation] = []
    if not isinstance(document, Mapping):
        raise InvalidInputError([Violation(where, "type", "a placement is a JSON object")])
    known = {"servers", "replicas", "spread"}
    for key in sorted(map(str, document.keys() - known))[:20]:
        detail = f"unknown field; known here: {', '.join(sorted(known))}"
        found.append(Violation(f"{where}/{pointer_part(key)}", "unknown", detail))
    servers = _requirements(document.get("servers"), f"{where}/servers", found)
    replicas = _replicas(document.get("replicas"), f"{where}/replicas", found)
    spread = _spread(document.get("spread"), f"{where}/spread", found)
    if spread and document.get("replicas") is None:
        detail = "what is on every server lies apart already: say how many replicas"
        found.append(Violation(f"{where}/replicas", "required", detail))
    if found:
        raise InvalidInputError(found)
    return Wanted(servers, replicas, spread)


def _requirements(raw: object, where: str, found: list[Violation]) -> tuple[Requirement, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, Mapping):
        detail = 'a JSON object of labels, such as {"tier": "gpu"}'
        found.append(Violation(where, "type", detail))
        return ()
    if len(raw) > MAX_VALUES:
        found.append(Violation(where, "too_many", f"{len(raw)} labels; at most {MAX_VALUES}"))
        return ()
    requirements = []
    for key in sorted(raw, key=str):
        at = f"{where}/{pointer_part(str(key))}"
        if problem := key_problem(key):
            found.append(Violation(at, "invalid_label", problem))
        else:
            requirements += _requirement(key, raw[key], at, found)
    return tuple(requirements)


def _requirement(label: str, raw: object, where: str, found: list[Violation]) -> list[Requirement]:
    tests = {Look.IN: [raw]} if isinstance(raw, str) else raw
    if not isinstance(tests, Mapping) or len(tests) != 1 or not set(tests) <= set(Look):
        detail = 'a value, or one of {"in": […]}, {"not_in": […]}, {"exists": true}'
        found.append(Violation(where, "invalid", detail))
        return []
    [(word, values)] = tests.items()
    test = Look(word)
    if test is Look.EXISTS:
        if not isinstance(values, bool):
            found.append(Violation(f"{where}/exists", "type", "exists is true or false"))
            return []
        return [Requirement(label, test, wanted=values)]
    if not isinstance(values, list | tuple) or not 1 <= len(values) <= MAX_VALUES:
        detail = f"{test} has a list of 1 to {MAX_VALUES} values"
        found.append(Violation(f"{where}/{test}", "type", detail))
        return []
    problems = [problem for value in values if (problem := value_problem(value))]
    found += [Violation(where, "invalid_label", problem) for problem in problems]
    # The order means nothing, so the same placement is the same text.
    return [] if problems else [Requirement(label, test, tuple(sorted(set(values))))]


def _replicas(raw: object, where: str, found: list[Violation]) -> int | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= MAX_REPLICAS:
        detail = f"{raw!r:.80} is not a whole number from 1 to {MAX_REPLICAS}"
        found.append(Violation(where, "range", detail))
        return None
    return raw


def _spread(raw: object, where: str, found: list[Violation]) -> Spread | None:
    if raw is None:
        return None
    document = {"label": raw} if isinstance(raw, str) else raw
    if not isinstance(document, Mapping) or not set(document) <= {"label", "required"}:
        detail = 'a label, or {"label": "zone", "required": true}'
        found.append(Violation(where, "type", detail))
        return None
    label, required = document.get("label"), document.get("required", False)
    if problem := key_problem(label):
        found.append(Violation(f"{where}/label", "invalid_label", problem))
        return None
    if not isinstance(required, bool):
        found.append(Violation(f"{where}/required", "type", "required is true or false"))
        return None
    return Spread(str(label), required)


def _test_in_words(requirement: Requirement) -> str:
    if requirement.test is Look.EXISTS:
        return "set" if requirement.wanted else "not set"
    either = _either(requirement.values)
    return either if requirement.test is Look.IN else f"not {either}"


def _either(values: tuple[str, ...]) -> str:
    return " or ".join(value or "empty" for value in values)

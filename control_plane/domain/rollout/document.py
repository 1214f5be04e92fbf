"""A rollout's document: what people send, read and checked, and written again.

    {"endpoint": "digits", "to": {"model": "digits", "version": 2},
     "strategy": {"canary": {"steps": [{"setWeight": 5}, {"analysis": {}}]}},
     "harmBudget": {"failedRequests": 20, "confidence": 0.95}, "watch": "10m"}

`to` is an arm's own words (`domain.routing`) and is read by who knows the registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.rollout.read_steps import read_strategy, strategy_document
from control_plane.domain.rollout.steps import DEFAULT_CANARY, Kind, Strategy
from control_plane.domain.routing.fields import Fields, duration_text, shown
from control_plane.domain.routing.headers import ForwardedHeaders
from control_plane.domain.routing.policy import SECOND
from control_plane.domain.violations import InvalidInputError, Violation

DAY = 24 * 3600 * SECOND

WATCH = 600 * SECOND
PROGRESS_DEADLINE = 600 * SECOND

MAX_HARM = 1_000_000

_FIELDS = {
    *("endpoint", "to", "strategy", "harmBudget", "watch", "progressDeadline", "dryRun"),
    *("supersede", "reason"),
}


@dataclass(frozen=True)
class HarmBudget:
    """At most so many failed attempts on the candidate may come of the rollout.

    `failed_requests` None: so many that each server gets some. `confidence` is how sure the
    statistics are before they let more traffic at what is left of it.
    """

    failed_requests: int | None = None
    confidence: float = 0.95


@dataclass(frozen=True)
class Wanted:
    """What somebody asks for. Durations are in microseconds."""

    endpoint: str
    to: Mapping[str, Any]
    strategy: Strategy = field(default_factory=lambda: Strategy(Kind.CANARY, DEFAULT_CANARY))
    harm: HarmBudget = HarmBudget()
    watch: int = WATCH
    progress_deadline: int = PROGRESS_DEADLINE
    dry_run: bool = False
    supersede: bool = False
    reason: str = ""


def read_rollout(document: object, headers: ForwardedHeaders | None = None) -> Wanted:
    """Reads and checks a rollout's document.

    Raises:
        InvalidInputError: with one violation per broken rule, each with its JSON pointer.
    """
    found: list[Violation] = []
    fields = Fields(document, "", found, "a rollout", _FIELDS)
    wanted = Wanted(
        endpoint=_endpoint(fields),
        to=_to(fields),
        strategy=read_strategy(fields, headers),
        harm=_harm(fields),
        watch=_duration(fields, "watch", WATCH, 0),
        progress_deadline=_duration(fields, "progressDeadline", PROGRESS_DEADLINE, 10 * SECOND),
        dry_run=fields.flag("dryRun", False),
        supersede=fields.flag("supersede", False),
        reason=fields.text("reason") or "",
    )
    if found:
        raise InvalidInputError(found)
    return wanted


def to_document(wanted: Wanted) -> dict[str, Any]:
    """The strategy and its bounds with every value in force; `read_rollout` reads it back."""
    return {
        "endpoint": wanted.endpoint,
        "to": dict(wanted.to),
        "strategy": strategy_document(wanted.strategy),
        "harmBudget": {
            "failedRequests": wanted.harm.failed_requests,
            "confidence": wanted.harm.confidence,
        },
        "watch": duration_text(wanted.watch),
        "progressDeadline": duration_text(wanted.progress_deadline),
        "dryRun": wanted.dry_run,
    }


def _endpoint(fields: Fields) -> str:
    value = fields.get("endpoint")
    if not isinstance(value, str) or not is_public_name(value):
        fields.note("endpoint", "invalid_name", f"{shown(value)}: {PUBLIC_NAME_RULE}")
        return ""
    return value


def _to(fields: Fields) -> Mapping[str, Any]:
    value = fields.get("to")
    if value is None:
        detail = 'what comes next, such as {"model": "digits", "version": 2}'
        fields.note("to", "required", detail)
        return {}
    # Whether these can be served is seen where the arms of a policy are read.
    known = {"model", "version", "pipeline", "revision"}
    read = Fields(value, "/to", fields.found, "to", known)
    return {key: read.get(key) for key in known if read.has(key)}


def _harm(fields: Fields) -> HarmBudget:
    if fields.get("harmBudget") is None:
        return HarmBudget()
    known = {"failedRequests", "confidence"}
    read = Fields(fields.get("harmBudget"), "/harmBudget", fields.found, "harmBudget", known)
    confidence = read.number("confidence", 0.5, 0.9999)
    return HarmBudget(
        failed_requests=read.optional_whole("failedRequests", 1, MAX_HARM),
        confidence=HarmBudget.confidence if confidence is None else confidence,
    )


def _duration(fields: Fields, name: str, default: int, low: int) -> int:
    value = fields.duration(name, low, 7 * DAY)
    return default if value is None else value

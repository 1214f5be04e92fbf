"""Webhooks and what was sent to them, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from nereid.resources import Document


@dataclass(frozen=True)
class Webhook:
    """A receiver of events. `names` None: what is about every model and endpoint."""

    name: str
    url: str
    events: tuple[str, ...]
    names: tuple[str, ...] | None
    enabled: bool
    state: str  # enabled, failing or disabled
    disabled_reason: str
    failing_since: str  # empty: the last delivery arrived
    old_secret_until: str  # empty: one secret signs
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Self:
        return cls(**cls._fields(raw))

    @classmethod
    def _fields(cls, raw: Document) -> dict[str, Any]:
        names = raw.get("names")
        return {
            "name": str(raw["name"]),
            "url": str(raw.get("url") or ""),
            "events": tuple(raw.get("events") or ()),
            "names": None if names is None else tuple(names),
            "enabled": bool(raw.get("enabled")),
            "state": str(raw.get("state") or ""),
            "disabled_reason": str(raw.get("disabled_reason") or ""),
            "failing_since": str(raw.get("failing_since") or ""),
            "old_secret_until": str(raw.get("old_secret_until") or ""),
            "raw": raw,
        }


@dataclass(frozen=True)
class WebhookWithSecret(Webhook):
    """A webhook whose secret was just made: seen this once."""

    secret: str = field(repr=False, compare=False)

    @classmethod
    def _fields(cls, raw: Document) -> dict[str, Any]:
        return {**super()._fields(raw), "secret": str(raw["secret"])}


@dataclass(frozen=True)
class Attempt:
    """One POST; `status` None: no answer came, and `error` says why."""

    at: str
    duration_ms: int
    status: int | None
    error: str
    answer: str

    @classmethod
    def from_json(cls, raw: Document) -> Attempt:
        return cls(
            at=str(raw.get("at") or ""),
            duration_ms=int(raw.get("duration_ms") or 0),
            status=raw.get("status"),
            error=str(raw.get("error") or ""),
            answer=str(raw.get("answer") or ""),
        )


@dataclass(frozen=True)
class Delivery:
    """One event on its way to one webhook. Lists leave `payload` and `attempts` out."""

    id: str
    webhook: str
    event: str
    event_id: str  # the receiver's webhook-id
    state: str  # pending, delivered, failed or abandoned
    reason: str
    tries: int
    created_at: str
    due_at: str  # empty: there is no next attempt
    payload: Document | None
    attempts: tuple[Attempt, ...]
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Delivery:
        return cls(
            id=str(raw["id"]),
            webhook=str(raw.get("webhook") or ""),
            event=str(raw.get("event") or ""),
            event_id=str(raw.get("event_id") or ""),
            state=str(raw.get("state") or ""),
            reason=str(raw.get("reason") or ""),
            tries=int(raw.get("tries") or 0),
            created_at=str(raw.get("created_at") or ""),
            due_at=str(raw.get("due_at") or ""),
            payload=raw.get("payload"),
            attempts=tuple(Attempt.from_json(one) for one in raw.get("attempts") or ()),
            raw=raw,
        )


@dataclass(frozen=True)
class EventType:
    """A type of event, the JSON Schema of its payload, and an example."""

    type: str
    description: str
    schema: Document = field(repr=False)
    example: Document = field(repr=False)

    @classmethod
    def from_json(cls, raw: Document) -> EventType:
        return cls(
            type=str(raw["type"]),
            description=str(raw.get("description") or ""),
            schema=dict(raw.get("schema") or {}),
            example=dict(raw.get("example") or {}),
        )

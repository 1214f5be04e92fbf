"""Changes of traffic that wait for a second person, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nereid.resources import Plan

ChangeState = Literal["pending", "approved", "rejected", "withdrawn", "superseded"]


@dataclass(frozen=True)
class ChangeRequest:
    """A policy that somebody asked for, at an endpoint with the four-eyes rule."""

    endpoint: str
    number: int
    state: ChangeState
    stale: str  # why it can no longer be approved; empty: it can, or it is decided
    generation: int  # the one it is based on
    policy: Mapping[str, Any]
    reason: str
    asked_by: str
    asked_at: str
    decided_by: str
    decided_reason: str
    revision: int | None  # what came of it
    plan: Plan | None  # what it does; lists come without
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> ChangeRequest:
        return cls(
            endpoint=str(raw["endpoint"]),
            number=int(raw["number"]),
            state=raw["state"],
            stale=str(raw.get("stale") or ""),
            generation=int(raw.get("generation") or 0),
            policy=dict(raw.get("policy") or {}),
            reason=str(raw.get("reason") or ""),
            asked_by=str(raw.get("asked_by") or ""),
            asked_at=str(raw.get("asked_at") or ""),
            decided_by=str(raw.get("decided_by") or ""),
            decided_reason=str(raw.get("decided_reason") or ""),
            revision=raw.get("revision"),
            plan=Plan.from_json(raw["plan"]) if raw.get("plan") else None,
            raw=raw,
        )

    @property
    def waits(self) -> bool:
        """Whether a second person can still let it through."""
        return self.state == "pending" and not self.stale

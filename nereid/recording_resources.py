"""What the API answers about recordings, as values."""

from __future__ import annotations

from dataclasses import dataclass, field

from nereid.resources import Document


@dataclass(frozen=True)
class Recording:
    """Requests of an endpoint that perf runs can send again: `input="recording:NAME"`.

    `facts` are what may be told of it, empty before it is `ready`.
    """

    name: str
    endpoint: str
    server: str
    state: str
    reason: str
    requests: int
    size: int
    facts: Document
    asked: Document
    asked_by: str
    created_at: str
    raw: Document = field(repr=False, compare=False)

    @property
    def over(self) -> bool:
        return self.state in ("ready", "failed")

    @classmethod
    def from_json(cls, raw: Document) -> Recording:
        return cls(
            name=str(raw["name"]),
            endpoint=str(raw["endpoint"]),
            server=str(raw.get("server") or ""),
            state=str(raw["state"]),
            reason=str(raw.get("reason") or ""),
            requests=int(raw.get("requests") or 0),
            size=int(raw.get("size") or 0),
            facts=raw.get("facts") or {},
            asked=raw.get("asked") or {},
            asked_by=str(raw.get("asked_by") or ""),
            created_at=str(raw.get("created_at") or ""),
            raw=raw,
        )

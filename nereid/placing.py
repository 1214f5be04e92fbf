"""Where an endpoint is placed, as the API says it."""

from __future__ import annotations

from dataclasses import dataclass, field

from nereid.resources import Document


@dataclass(frozen=True)
class ServerPart:
    """What a server is to an endpoint: placed, leaving, held, spare or refused; and why."""

    server: str
    standing: str
    reason: str


@dataclass(frozen=True)
class Placing:
    """The servers that an endpoint is on, every server's part, and what is not as wanted."""

    servers: tuple[str, ...]
    explanation: tuple[ServerPart, ...]
    problem: str
    placement: Document | None  # None: every server, or a dry run
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Placing:
        return cls(
            servers=tuple(raw.get("servers") or ()),
            explanation=tuple(
                ServerPart(str(one["server"]), str(one["standing"]), str(one.get("reason") or ""))
                for one in raw.get("explanation") or ()
            ),
            problem=str(raw.get("problem") or ""),
            placement=raw.get("placement"),
            raw=raw,
        )

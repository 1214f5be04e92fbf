"""Servers, and who did what."""

from __future__ import annotations

from nereid.administration import AuditEvent, Server
from nereid.calls.asking import PAGE_SIZE, listed, part, read
from nereid.steps import Steps


def servers() -> Steps[list[Server]]:
    """Every Triton that has registered."""
    return [Server.from_json(raw) for raw in (yield from listed("/servers/"))]


def server(name: str) -> Steps[Server]:
    """One Triton with what it holds."""
    return Server.from_json((yield from read("GET", f"/servers/{part(name)}/")))


def audit(
    *,
    actor: str | None = None,
    action: str | None = None,
    object_type: str | None = None,
    object_name: str | None = None,
    search: str | None = None,
    limit: int = PAGE_SIZE,
) -> Steps[list[AuditEvent]]:
    """The newest deeds, at most `limit` (500), newest first."""
    filters = {
        "actor": actor,
        "action": action,
        "object_type": object_type,
        "object_name": object_name,
        "search": search,
        "limit": str(limit),
    }
    given = {key: value for key, value in filters.items() if value}
    page = yield from read("GET", "/audit/", params=given)
    return [AuditEvent.from_json(raw) for raw in page.get("results") or ()]

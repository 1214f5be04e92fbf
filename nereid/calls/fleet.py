"""Servers, and who did what."""

from __future__ import annotations

from datetime import datetime

from nereid.administration import AuditEvent, Diagnosis, Server
from nereid.calls.asking import PAGE_SIZE, ask, at_most, listed, part, read
from nereid.steps import Steps


def servers() -> Steps[list[Server]]:
    """Every Triton that has registered."""
    return [Server.from_json(raw) for raw in (yield from listed("/servers/"))]


def server(name: str) -> Steps[Server]:
    """One Triton with what it holds."""
    return Server.from_json((yield from read("GET", f"/servers/{part(name)}/")))


def delete_server(name: str) -> Steps[None]:
    """Forget a server that is gone for good.

    One that lives, or is the only one that holds an endpoint which serves, is refused (409).
    """
    yield from ask("DELETE", f"/servers/{part(name)}/")


def mark_server(name: str, *, lab: bool) -> Steps[Server]:
    """Say whether perf runs may put a server under load."""
    raw = yield from read("PATCH", f"/servers/{part(name)}/", json={"lab": lab})
    return Server.from_json(raw)


def diagnosis() -> Steps[Diagnosis]:
    """What the control plane knows of its own state: version, workers, disks."""
    return Diagnosis.from_json((yield from read("GET", "/diagnosis/")))


def audit(
    *,
    actor: str | None = None,
    action: str | None = None,
    object_type: str | None = None,
    object_name: str | None = None,
    object_id: str | None = None,
    request_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    search: str | None = None,
    limit: int | None = PAGE_SIZE,
) -> Steps[list[AuditEvent]]:
    """The newest `limit` deeds, newest first; all that fit with None.

    Args:
        since: from this time on, `until`: before this one; each with its zone.
        search: in names, actors and reasons.
    """
    found = yield from at_most(
        limit,
        "/audit/",
        actor=actor,
        action=action,
        object_type=object_type,
        object_name=object_name,
        object_id=object_id,
        request_id=request_id,
        since=since and since.isoformat(),
        until=until and until.isoformat(),
        search=search,
    )
    return [AuditEvent.from_json(raw) for raw in found]

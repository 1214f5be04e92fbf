"""Servers, and who did what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from nereid.administration import AuditEvent, Diagnosis, Server
from nereid.calls.asking import PAGE_SIZE, ask, at_most, listed, looking, part, read
from nereid.errors import WaitTimeoutError
from nereid.placing import Placing
from nereid.resources import Document
from nereid.steps import Steps


def servers() -> Steps[list[Server]]:
    """Every Triton that has registered."""
    return [Server.from_json(raw) for raw in (yield from listed("/servers/"))]


def server(name: str) -> Steps[Server]:
    """One Triton with what it holds."""
    return Server.from_json((yield from read("GET", f"/servers/{part(name)}/")))


def delete_server(name: str, *, force: bool = False, reason: str = "") -> Steps[None]:
    """Forget a server that is gone for good.

    One that lives, or is the only one that holds an endpoint which serves, is refused (409),
    unless it is forced, with a reason: its Triton may go on serving, and nobody will know.
    """
    params = {"force": "true"} if force else {}
    params |= {"reason": reason} if reason else {}
    yield from ask("DELETE", f"/servers/{part(name)}/", params=params)


def cordon_server(name: str, *, reason: str = "") -> Steps[Server]:
    """Place nothing new on a server; what is there stays. A drain ends."""
    return (yield from _schedule(name, "cordon", reason))


def uncordon_server(name: str, *, reason: str = "") -> Steps[Server]:
    """Let endpoints be placed on a server again; a drain ends."""
    return (yield from _schedule(name, "uncordon", reason))


def drain_server(name: str, *, reason: str = "") -> Steps[Server]:
    """Cordon a server, and let what it holds move to others, as far as they can take it.

    The server that comes back says under `scheduling` what is left; `wait_drained` waits.
    """
    return (yield from _schedule(name, "drain", reason))


def wait_drained(
    name: str,
    *,
    timeout: float = 300,
    on_progress: Callable[[Server], None] | None = None,
) -> Steps[Server]:
    """Look at a server that is drained until it holds nothing any more.

    Raises:
        WaitTimeoutError: it holds something still; its last state says what that waits for.
    """

    seen = yield from looking(
        lambda: server(name), lambda found: found.scheduling == "Drained", timeout, on_progress
    )
    if seen.scheduling != "Drained":
        left = ", ".join(str(one.get("endpoint")) for one in seen.left)
        raise WaitTimeoutError(
            f"{name} is {seen.scheduling} after {timeout:g} s, and holds {left or 'nothing'}; the "
            f"drain goes on: look with `nereid servers {name}`"
        )
    return seen


def label_server(name: str, labels: Mapping[str, str | None]) -> Steps[Server]:
    """Set labels of a server over those that its node gives it; None takes one back."""
    raw = yield from read("PATCH", f"/servers/{part(name)}/", json={"labels": dict(labels)})
    return Server.from_json(raw)


def placement(endpoint: str) -> Steps[Placing]:
    """Which servers an endpoint is on, and why not on the others."""
    return Placing.from_json((yield from read("GET", _placement(endpoint))))


def put_placement(endpoint: str, document: Document, *, reason: str = "") -> Steps[Placing]:
    """Say which servers an endpoint shall be on; it moves at once, without a failed request."""
    params = {"reason": reason} if reason else {}
    raw = yield from read("PUT", _placement(endpoint), json=document, params=params)
    return Placing.from_json(raw)


def delete_placement(endpoint: str, *, reason: str = "") -> Steps[Placing]:
    """Take a placement back: the endpoint shall be on every server."""
    params = {"reason": reason} if reason else {}
    return Placing.from_json((yield from read("DELETE", _placement(endpoint), params=params)))


def plan_placement(endpoint: str, document: Document) -> Steps[Placing]:
    """Which servers an endpoint would be on by that placement; nothing is written."""
    return Placing.from_json(
        (yield from read("POST", f"{_placement(endpoint)}plan/", json=document))
    )


def _placement(endpoint: str) -> str:
    return f"/endpoints/{part(endpoint)}/placement/"


def _schedule(name: str, verb: str, reason: str) -> Steps[Server]:
    body = {"reason": reason} if reason else {}
    raw = yield from read("POST", f"/servers/{part(name)}/{verb}/", json=body)
    return Server.from_json(raw)


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

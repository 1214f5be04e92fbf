"""Endpoints, their policies and revisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from nereid.calls.asking import ask, json_object, listed, looking, made, part, read
from nereid.errors import WaitTimeoutError
from nereid.resources import Accepted, Endpoint, Plan, Policy, Revision
from nereid.steps import Steps


def endpoints(search: str | None = None) -> Steps[list[Endpoint]]:
    """All endpoints; `search` in name and description."""
    return [Endpoint.from_json(raw) for raw in (yield from listed("/endpoints/", search=search))]


def endpoint(name: str) -> Steps[Endpoint]:
    """One endpoint with its arms and servers."""
    return Endpoint.from_json((yield from read("GET", f"/endpoints/{part(name)}/")))


def create_endpoint(
    name: str, description: str = "", *, four_eyes: bool = False
) -> Steps[Endpoint]:
    """Add an endpoint; it serves nothing until it has a policy. With `four_eyes` every change of
    its traffic waits for a second person, the first too."""
    body = {"name": name, "description": description, "four_eyes": four_eyes}
    return Endpoint.from_json((yield from read("POST", "/endpoints/", json=body)))


def ensure_endpoint(name: str, description: str = "") -> Steps[bool]:
    """Create the endpoint unless it exists; True when this call made it."""
    return (yield from made(lambda: endpoint(name), lambda: create_endpoint(name, description)))


def delete_endpoint(name: str) -> Steps[None]:
    """Take an endpoint off every server; that goes on after this returns."""
    yield from ask("DELETE", f"/endpoints/{part(name)}/")


def policy(endpoint: str) -> Steps[Policy]:
    """The policy with its tag."""
    response = yield from ask("GET", f"/endpoints/{part(endpoint)}/policy/")
    return Policy(json_object(response), response.headers.get("ETag", ""))


def put_policy(
    endpoint: str, policy: Mapping[str, Any], *, etag: str, reason: str | None = None
) -> Steps[Accepted]:
    """Replace the policy. `etag` is the one that was read with the policy this is based on;
    the server refuses (412) when someone changed it since. ``*`` means: whatever stands.

    Where the endpoint has the four-eyes rule nothing moves yet: the answer's `change` is the
    number of the change that waits for a second person (`wait_change`)."""
    path = f"/endpoints/{part(endpoint)}/policy/"
    query = {"reason": reason} if reason else {}
    raw = yield from read("PUT", path, json=policy, if_match=etag, params=query)
    return Accepted.from_json(raw)


def plan(endpoint: str, policy: Mapping[str, Any]) -> Steps[Plan]:
    """What a policy would change; nothing is written."""
    raw = yield from read("POST", f"/endpoints/{part(endpoint)}/plan/", json=policy)
    return Plan.from_json(raw)


def rollback(
    endpoint: str, revision: int | None = None, reason: str | None = None
) -> Steps[Accepted]:
    """Go back to a revision, by default to the one before."""
    body: dict[str, Any] = {} if revision is None else {"revision": revision}
    body |= {"reason": reason} if reason else {}
    raw = yield from read("POST", f"/endpoints/{part(endpoint)}/rollback/", json=body)
    return Accepted.from_json(raw)


def kill(endpoint: str, reason: str | None = None) -> Steps[Accepted]:
    """The kill switch: every request to the primary, without waiting for any other arm.
    A rollback leads back; asking again changes nothing."""
    body = {"reason": reason} if reason else {}
    raw = yield from read("POST", f"/endpoints/{part(endpoint)}/kill/", json=body)
    return Accepted.from_json(raw)


def revisions(endpoint: str) -> Steps[list[Revision]]:
    """The revisions of an endpoint, newest first."""
    path = f"/endpoints/{part(endpoint)}/revisions/"
    return [Revision.from_json(raw) for raw in (yield from listed(path))]


def served_at(endpoint: str, at: datetime | str) -> Steps[list[Revision]]:
    """What served an endpoint at a time (with its zone), also one that is gone.

    One revision; two while a change was on its way, the newer first; none where nothing served.
    """
    moment = at if isinstance(at, str) else at.isoformat()
    path = f"/endpoints/{part(endpoint)}/revisions/"
    page = yield from read("GET", path, params={"at": moment})
    return [Revision.from_json(raw) for raw in page.get("results") or ()]


def wait_endpoint(
    name: str,
    *,
    generation: int = 0,
    timeout: float = 120.0,
    on_progress: Callable[[Endpoint], None] | None = None,
) -> Steps[Endpoint]:
    """Wait until `generation` serves or failed. The outcome may be ``Degraded``: look at it."""
    seen = yield from looking(
        lambda: endpoint(name), lambda e: e.settled(generation), timeout, on_progress
    )
    if not seen.settled(generation):
        reason = f" ({seen.reason})" if seen.reason else ""
        raise WaitTimeoutError(
            f"endpoint {name} is still {seen.status}{reason} after {timeout:g} s; "
            f"the change goes on: look with `nereid endpoints {name}`"
        )
    return seen

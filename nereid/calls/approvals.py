"""What waits for a second person, where an endpoint has the four-eyes rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nereid.approvals import ChangeRequest, ChangeState
from nereid.calls.asking import listed, looking, part, read
from nereid.errors import WaitTimeoutError
from nereid.resources import Accepted, Endpoint
from nereid.steps import Steps


def set_four_eyes(endpoint: str, on: bool) -> Steps[Endpoint]:
    """Switch the rule on, or off: that takes the role admin."""
    path = f"/endpoints/{part(endpoint)}/"
    return Endpoint.from_json((yield from read("PATCH", path, json={"four_eyes": on})))


def changes(endpoint: str, state: ChangeState | None = None) -> Steps[list[ChangeRequest]]:
    """The changes that were asked for, newest first; at most one is pending."""
    path = f"/endpoints/{part(endpoint)}/changes/"
    return [ChangeRequest.from_json(raw) for raw in (yield from listed(path, state=state))]


def change(endpoint: str, number: int) -> Steps[ChangeRequest]:
    """One change, with its plan."""
    return ChangeRequest.from_json((yield from read("GET", _path(endpoint, number))))


def approve_change(endpoint: str, number: int, reason: str | None = None) -> Steps[Accepted]:
    """Let a change through that somebody else asked for. Asking again changes nothing."""
    path = f"{_path(endpoint, number)}approve/"
    return Accepted.from_json((yield from read("POST", path, json=_words(reason))))


def reject_change(endpoint: str, number: int, reason: str | None = None) -> Steps[ChangeRequest]:
    """End a change that somebody else asked for; traffic stays as it is."""
    path = f"{_path(endpoint, number)}reject/"
    return ChangeRequest.from_json((yield from read("POST", path, json=_words(reason))))


def withdraw_change(endpoint: str, number: int, reason: str | None = None) -> Steps[ChangeRequest]:
    """Take back a change of your own."""
    path = f"{_path(endpoint, number)}withdraw/"
    return ChangeRequest.from_json((yield from read("POST", path, json=_words(reason))))


def wait_change(
    endpoint: str,
    number: int,
    *,
    timeout: float = 120.0,
    on_progress: Callable[[ChangeRequest], None] | None = None,
) -> Steps[ChangeRequest]:
    """Wait until somebody has decided, or nobody can any more (`stale`): look at which it is."""
    seen = yield from looking(
        lambda: change(endpoint, number), lambda found: not found.waits, timeout, on_progress
    )
    if seen.waits:
        raise WaitTimeoutError(
            f"change {number} of {endpoint} still waits for a second person after {timeout:g} s; "
            f"it goes on waiting: look with `nereid changes show {endpoint} {number}`"
        )
    return seen


def _path(endpoint: str, number: int) -> str:
    return f"/endpoints/{part(endpoint)}/changes/{number}/"


def _words(reason: str | None) -> dict[str, Any]:
    return {"reason": reason} if reason else {}

"""Sessions that begin and end, and the audit record of who came in, who did not, and who left.

No password and no token is in the record.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import login
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.http import HttpRequest

from control_plane.access.throttle import address_of, caller_address, throttle
from control_plane.audit.services import record

PASSWORD = "password"  # noqa: S105 - the way in
BACKEND = "control_plane.access.backend.AccessBackend"
STRANGER = "anonymous"
NOBODY = "(no such person)"


def sign_in(request: HttpRequest, user: User, by: str) -> None:
    """Begins the person's session; its key is a new one.

    Args:
        by: `password`, or the issuer that said who they are.
    """
    with transaction.atomic():
        login(request, user, backend=BACKEND)
        note_login(request, user, by)


def note_login(request: HttpRequest, user: User, by: str) -> None:
    """Records that somebody came in."""
    _note("user.login", request, user, actor=user.get_username(), by=by)


def note_logout(request: HttpRequest, user: User) -> None:
    """Records that somebody ended their session."""
    _note("user.logout", request, user, actor=user.get_username())


def note_refusal(
    request: HttpRequest, *, by: str, why: str, user: User | None = None, said: Any = None
) -> None:
    """Counts and records that somebody was not let in.

    A name that nobody has is not kept: it may be a password in the wrong field. Above the limit
    nothing is recorded: the record cannot be flooded from outside.
    """
    if throttle().count("logins", address_of(request)) is None:
        _note("user.login_failed", request, user, actor=STRANGER, by=by, why=why, **(said or {}))


def has_to_wait(request: HttpRequest) -> int | None:
    """For how many seconds an address waits from which too many were not let in."""
    return throttle().refused("logins", address_of(request))


def forget_sessions() -> None:
    """Removes what browsers had sessions for that are over: nothing else does."""
    SessionStore.clear_expired()


def _note(
    action: str, request: HttpRequest, user: User | None, *, actor: str, why: str = "", **said: Any
) -> None:
    record(
        actor=actor,
        action=action,
        object_type="user",
        object_id=user.pk if user else "",
        object_name=user.get_username() if user else NOBODY,
        after={**said, "address": caller_address(request)},
        reason=why,
    )

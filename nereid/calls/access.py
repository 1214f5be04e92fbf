"""Tokens, people, and what these may do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from nereid.administration import Grant, NewToken, Token, User
from nereid.calls.asking import ask, json_object, listed, part, read
from nereid.steps import Steps

LASTS = timedelta(days=90)


def tokens(state: str | None = None) -> Steps[list[Token]]:
    """The caller's tokens (an admin's are all), or those `live`, `expired` or `revoked`."""
    return [Token.from_json(raw) for raw in (yield from listed("/tokens/", state=state))]


def current_token() -> Steps[Token]:
    """The token that this client uses: what it is for, and until when."""
    return Token.from_json((yield from read("GET", "/tokens/current/")))


def create_token(
    name: str, role: str, *, names: Sequence[str] | None = None, lasts: timedelta | None = LASTS
) -> Steps[NewToken]:
    """Make a token of the caller; its `secret` is seen this once.

    `role` caps what it may do, `names` are the only models and endpoints it reaches; it ends
    after `lasts`, or with None never.
    """
    ends = datetime.now(UTC) + lasts if lasts else None
    body: dict[str, Any] = {
        "name": name,
        "role": role,
        "names": list(names) if names else None,
        "expires_at": ends.isoformat() if ends else None,
    }
    return NewToken.from_json((yield from read("POST", "/tokens/", json=body)))


def revoke_token(token_id: str) -> Steps[None]:
    """Whatever uses this token is refused from now on."""
    yield from ask("DELETE", f"/tokens/{part(token_id)}/")


def users(
    *, role: str | None = None, group: str | None = None, search: str | None = None
) -> Steps[list[User]]:
    """People by name; those of a role, of a group, or found by a word of name or address."""
    found = yield from listed("/users/", role=role, group=group, search=search)
    return [User.from_json(raw) for raw in found]


def user(username: str) -> Steps[User]:
    """One person."""
    return User.from_json((yield from read("GET", f"/users/{part(username)}/")))


def update_user(username: str, *, etag: str | None = None, **changes: Any) -> Steps[User]:
    """Change `roles`, `groups`, `publish_code`, `active` or `console`; what is not named stays.

    Lists are exactly what is said. With the `etag` that was read a change made since is refused.
    """
    path = f"/users/{part(username)}/"
    return User.from_json((yield from read("PATCH", path, json=changes, if_match=etag)))


def give_role(username: str, role: str) -> Steps[User]:
    """Give a person a role beside those they have."""
    return (yield from _with_roles(username, lambda held: held | {role}))


def take_role(username: str, role: str) -> Steps[User]:
    """Take a role away from a person; the others stay."""
    return (yield from _with_roles(username, lambda held: held - {role}))


def _with_roles(username: str, chosen: Callable[[set[str]], set[str]]) -> Steps[User]:
    """On what was read: nobody else's change in between is undone."""
    response = yield from ask("GET", f"/users/{part(username)}/")
    held = set(json_object(response).get("roles") or ())
    roles = sorted(chosen(held))
    etag = response.headers.get("ETag")
    return (yield from update_user(username, etag=etag, roles=roles))


def grants(
    *,
    user: str | None = None,
    group: str | None = None,
    role: str | None = None,
    kind: str | None = None,
    name: str | None = None,
) -> Steps[list[Grant]]:
    """Roles on single names; those of a person or a group, or on a `model` or `endpoint`."""
    found = yield from listed("/grants/", user=user, group=group, role=role, kind=kind, name=name)
    return [Grant.from_json(raw) for raw in found]


def give_grant(
    role: str, kind: str, name: str, *, user: str | None = None, group: str | None = None
) -> Steps[Grant]:
    """Give a person, or else a group, a role on one `model` or `endpoint`."""
    body = {"role": role, "kind": kind, "name": name, "user": user, "group": group}
    return Grant.from_json((yield from read("POST", "/grants/", json=body)))


def take_grant(grant_id: str) -> Steps[None]:
    """Take a grant away."""
    yield from ask("DELETE", f"/grants/{part(grant_id)}/")

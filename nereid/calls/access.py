"""Tokens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from nereid.administration import NewToken, Token
from nereid.calls.asking import ask, listed, part, read
from nereid.steps import Steps

LASTS = timedelta(days=90)


def tokens(state: str | None = None) -> Steps[list[Token]]:
    """The caller's tokens (an admin's are all), or those `live`, `expired` or `revoked`."""
    return [Token.from_json(raw) for raw in (yield from listed("/tokens/", state=state))]


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

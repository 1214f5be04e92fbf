"""Making and revoking tokens, each with its audit event."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from control_plane.access.models import ApiToken
from control_plane.audit.services import record
from control_plane.domain.access import Scope
from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.stored_json import check_text
from control_plane.domain.violations import InvalidInputError, Violation

MAX_NAME = 100
MAX_NAMES = 100


def issue_token(
    *,
    user: Any,
    name: str,
    actor: str,
    now: datetime,
    expires_at: datetime | None = None,
    scope: Scope | None = None,
) -> tuple[ApiToken, str]:
    """Makes a token of `user`; the second value is the only time it is seen in clear.

    Args:
        scope: what it lets its user do at most; None: all that the user may.

    Raises:
        InvalidInputError: it has no name, would be of no use, or is limited to no possible name.
    """
    scope = scope or Scope()
    _check(name, expires_at, scope, now)
    with transaction.atomic():
        token, clear = ApiToken.issue(user=user, name=name, expires_at=expires_at, scope=scope)
        record(
            actor=actor,
            action="token.create",
            object_type="token",
            object_id=token.id,
            object_name=name,
            after=_described(token),
        )
    return token, clear


def revoke_token(*, token: ApiToken, actor: str, now: datetime) -> bool:
    """Makes a token useless from now on; False when it was revoked already."""
    with transaction.atomic():
        if not ApiToken.objects.filter(id=token.id, revoked_at=None).update(revoked_at=now):
            return False
        record(
            actor=actor,
            action="token.revoke",
            object_type="token",
            object_id=token.id,
            object_name=token.name,
            before=_described(token),
            after={**_described(token), "revoked_at": now.isoformat()},
        )
    return True


def _described(token: ApiToken) -> dict[str, Any]:
    return {
        "user": token.user.get_username(),
        "role": token.role,
        "names": token.names,
        "expires_at": token.expires_at.isoformat() if token.expires_at else None,
    }


def _check(name: str, expires_at: datetime | None, scope: Scope, now: datetime) -> None:
    found = []
    if not name.strip():
        found.append(Violation("/name", "blank", "say what will use it"))
    if expires_at and expires_at <= now:
        detail = f"{expires_at.isoformat()} is past: it would be of no use"
        found.append(Violation("/expires_at", "past", detail))
    if len(scope.names) > MAX_NAMES:
        detail = f"{len(scope.names)} names; a token is limited to at most {MAX_NAMES}"
        found.append(Violation("/names", "too_many", detail))
    else:
        found += [
            Violation("/names", "invalid_name", f"{wrong[:80]!r}: a name has {PUBLIC_NAME_RULE}")
            for wrong in sorted(scope.names)
            if not is_public_name(wrong)
        ][:20]
    if found:
        raise InvalidInputError(found)
    check_text(name, "/name", MAX_NAME)

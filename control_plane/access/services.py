"""Making and revoking tokens, each with its audit event."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from control_plane.access.models import ApiToken
from control_plane.audit.services import record


def issue_token(
    *, user: Any, name: str, actor: str, expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """Makes a token of `user`; the second value is the only time it is seen in clear."""
    with transaction.atomic():
        token, clear = ApiToken.issue(user=user, name=name, expires_at=expires_at)
        record(
            actor=actor,
            action="token.create",
            object_type="token",
            object_id=token.id,
            object_name=name,
            after={"expires_at": expires_at.isoformat() if expires_at else None},
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
        )
    return True

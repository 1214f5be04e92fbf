"""Reading tokens: whose a person may see, revoke and make."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet

from control_plane.access.models import ApiToken, Bearer
from control_plane.domain.access import Scope
from control_plane.domain.violations import NotFoundError


def tokens_of(user: Any) -> QuerySet[ApiToken]:
    """The tokens that the person sees: their own, for an admin all.

    Through a token that is limited, only that one: whoever finds it learns of no other.
    """
    rows = ApiToken.objects.select_related("user")
    if isinstance(user, Bearer) and user.token.scope != Scope():
        return rows.filter(pk=user.token.pk)
    if user.has_perm("access.view_apitoken"):
        return rows
    return rows.filter(user_id=user.pk)


def get_token(user: Any, token_id: UUID) -> ApiToken:
    """That token.

    Raises:
        NotFoundError: there is none that the person sees.
    """
    token = tokens_of(user).filter(pk=token_id).first()
    if token is None:
        raise NotFoundError(f"you have no token {token_id}")
    return token


def may_revoke(user: Any, token: ApiToken) -> bool:
    """Its owner may, and an admin."""
    return token.user_id == user.pk or bool(user.has_perm("access.change_apitoken"))


def check_may_issue(user: Any) -> None:
    """A limited token makes none: what it could do would outlive it.

    Raises:
        PermissionDenied: the person came with one.
    """
    if isinstance(user, Bearer) and user.token.scope != Scope():
        raise PermissionDenied(
            f"a token that is for {user.token.scope} makes no tokens: use one without limits, or "
            "the console"
        )

"""Reading who may do what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from control_plane.access.models import Bearer, Grant
from control_plane.domain.access import Kind, Role, Scope, Target, role_may


@dataclass(frozen=True)
class Held:
    """A grant that somebody has, by themselves or by a group."""

    role: Role
    target: Target


def grants_of(user: Any) -> tuple[Held, ...]:
    """The grants of a person and of their groups; read once for each request's user."""
    if not user.is_authenticated:
        return ()
    held: tuple[Held, ...] | None = getattr(user, "_grants_held", None)
    if held is None:
        rows = Grant.objects.filter(Q(user_id=user.pk) | Q(group__user=user.pk)).distinct()
        held = tuple(Held(Role(row.role), row.target) for row in rows)
        user._grants_held = held
    return held


def allowed_names(user: Any, permission: str, kind: Kind) -> frozenset[str] | None:
    """The names on which the person has the permission; None where it is all of them."""
    if not user.is_authenticated or not user.is_active:
        return frozenset()
    scope = user.token.scope if isinstance(user, Bearer) else Scope()
    if not role_may(scope.role, permission):
        return frozenset()
    limit = scope.names or None
    if _everywhere(user, permission):
        return limit
    names = frozenset(
        held.target.name
        for held in grants_of(user)
        if held.target.kind == kind and role_may(held.role, permission)
    )
    return names if limit is None else names & limit


def may_somewhere(user: Any, permission: str, kind: Kind | None) -> bool:
    """Whether there is anything at all that the person may do this to."""
    if user.has_perm(permission):
        return True
    return kind is not None and allowed_names(user, permission, kind) != frozenset()


def _everywhere(user: Any, permission: str) -> bool:
    """What the person may do, whatever token they came with."""
    if isinstance(user, Bearer):
        return user.owner_has_perm(permission)
    return bool(user.has_perm(permission))

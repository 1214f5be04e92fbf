"""Giving people and groups what they may do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db import IntegrityError, transaction

from control_plane.access.models import Grant
from control_plane.access.roles import is_role, role_group, roles_of
from control_plane.audit.services import record
from control_plane.domain.access import PUBLISH_CODE, Role, Target
from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    Violation,
)

GIVE_ROLES = "access.give_roles"


def give_grant(
    *, user: User | None = None, group: Group | None = None, role: Role, target: Target, actor: str
) -> Grant:
    """Gives a person or a group a role on one name.

    Raises:
        InvalidInputError: it is for nobody or for two, or no name can be so.
        ConflictError: they have it already.
    """
    if (user is None) == (group is None):
        detail = "a grant is for a person or for a group: name one of them"
        raise InvalidInputError([Violation("/user", "one", detail)])
    if not is_public_name(target.name):
        detail = f"{target.name[:80]!r}: a name has {PUBLIC_NAME_RULE}"
        raise InvalidInputError([Violation("/name", "invalid_name", detail)])
    try:
        with transaction.atomic():
            grant = Grant.objects.create(
                user=user,
                group=group,
                role=role,
                kind=target.kind,
                name=target.name,
                created_by=actor,
            )
            _note(grant, "grant.create", actor)
    except IntegrityError:
        raise ConflictError(f"{user or group} is {role} of {target} already") from None
    return grant


def take_grant(*, grant: Grant, actor: str) -> None:
    """Takes a grant away.

    Raises:
        NotFoundError: somebody else just did.
    """
    with transaction.atomic():
        # Held: of two who take it at once, one did it, and one event says so.
        if Grant.objects.select_for_update().filter(pk=grant.pk).first() is None:
            raise NotFoundError(f"there is no grant {grant.pk} any more")
        _note(grant, "grant.delete", actor)
        grant.delete()


def set_rights(
    user: User, *, roles: Iterable[Role], groups: Iterable[Group], publish_code: bool
) -> None:
    """Gives a person exactly these roles and groups; the caller records it with the person."""
    user.groups.set([*(role_group(role) for role in roles), *groups])
    permission = _permission(PUBLISH_CODE)
    change = user.user_permissions.add if publish_code else user.user_permissions.remove
    change(permission)


def may_publish_code(user: User) -> bool:
    """Whether the permission was given to the person by itself."""
    return user.user_permissions.filter(pk=_permission(PUBLISH_CODE).pk).exists()


def described(holder: User | Group) -> dict[str, Any]:
    """What the audit record keeps of a person or a group; never a password."""
    if isinstance(holder, Group):
        permissions = holder.permissions.select_related("content_type")
        return {"name": holder.name, "permissions": _labels(permissions)}
    permissions = holder.user_permissions.select_related("content_type")
    return {
        "username": holder.username,
        "name": holder.get_full_name(),
        "email": holder.email,
        "active": holder.is_active,
        "console": holder.is_staff,
        "all_rights": holder.is_superuser,
        "roles": [str(role) for role in roles_of(holder)],
        "groups": sorted(group.name for group in holder.groups.all() if not is_role(group)),
        "permissions": _labels(permissions),
    }


def _labels(permissions: Iterable[Permission]) -> list[str]:
    return sorted(f"{row.content_type.app_label}.{row.codename}" for row in permissions)


def _permission(label: str) -> Permission:
    app, codename = label.split(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)


def _note(grant: Grant, action: str, actor: str) -> None:
    what = {"for": grant.grantee, "role": grant.role, "kind": grant.kind, "name": grant.name}
    deleted = action == "grant.delete"
    record(
        actor=actor,
        action=action,
        object_type="grant",
        object_id=grant.id,
        object_name=str(grant)[:200],
        before=what if deleted else None,
        after=None if deleted else what,
    )

"""The four roles as Django groups, and who has which."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.apps import apps as registered
from django.contrib.auth.models import Group, User

from control_plane.domain.access import Role, role_may


def role_group(role: Role) -> Group:
    """The group whose members have the role."""
    return Group.objects.get_or_create(name=role.value)[0]


def is_role(group: Group) -> bool:
    return group.name in list(Role)


def roles_of(user: User) -> list[Role]:
    """The person's roles; no query where `groups` was fetched with the person."""
    names = {group.name for group in user.groups.all()}
    return [role for role in Role if role in names]


def set_roles(user: User, roles: Collection[Role]) -> None:
    """Gives a person exactly these roles; their other groups stay."""
    held = roles_of(user)
    user.groups.remove(*(role_group(role) for role in held if role not in roles))
    user.groups.add(*(role_group(role) for role in roles if role not in held))


def give_roles_their_permissions(*, app_config: Any, apps: Any = registered, **signal: Any) -> None:
    """After each migration: a role has exactly what `domain.access` says, of every app.

    By signal and not by a migration, because Django makes an app's permissions after the
    migrations, and apps that come later have permissions too.
    """
    try:
        group_model = apps.get_model("auth", "Group")
        permission_model = apps.get_model("auth", "Permission")
    except LookupError:  # a migration to a state in which there are none yet
        return
    permissions = {
        row.pk: f"{app_config.label}.{row.codename}"
        for row in permission_model.objects.filter(content_type__app_label=app_config.label)
    }
    if not permissions:
        return
    held = group_model.permissions.through.objects
    for role in Role:
        group, _ = group_model.objects.get_or_create(name=role.value)
        due = {pk for pk, label in permissions.items() if role_may(role, label)}
        present = set(
            held.filter(group_id=group.pk, permission_id__in=permissions).values_list(
                "permission_id", flat=True
            )
        )
        held.bulk_create(
            [held.model(group_id=group.pk, permission_id=pk) for pk in due - present],
            ignore_conflicts=True,
        )
        if gone := present - due:
            held.filter(group_id=group.pk, permission_id__in=gone).delete()

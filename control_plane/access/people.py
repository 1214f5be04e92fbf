"""Who may do what, one person at a time: reading it, and changing it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import QuerySet

from control_plane.access.models import Grant
from control_plane.access.rights import described, may_publish_code, set_rights
from control_plane.access.roles import is_role, roles_of
from control_plane.audit.services import record
from control_plane.domain.access import Role
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    Violation,
)


@dataclass(frozen=True)
class RightsChange:
    """What changes of a person; None stays as it is."""

    roles: Collection[Role] | None = None
    groups: Collection[str] | None = None
    publish_code: bool | None = None
    active: bool | None = None
    console: bool | None = None


def shown_people() -> QuerySet[User]:
    """People with what is told of them, in a fixed number of queries."""
    return User.objects.prefetch_related(
        "groups", "identities", "user_permissions__content_type"
    ).order_by("username")


def get_person(username: str, rows: QuerySet[User] | None = None) -> User:
    """
    Raises:
        NotFoundError: nobody is called so.
    """
    person = (User.objects.all() if rows is None else rows).filter(username=username).first()
    if person is None:
        raise NotFoundError(f"there is nobody called {username!r}; /users/ has those there are")
    return person


def locked_person(username: str) -> User:
    """The person, held until the transaction ends.

    Raises:
        NotFoundError: nobody is called so.
    """
    return get_person(username, User.objects.select_for_update())


def get_grant(grant_id: Any) -> Grant:
    """
    Raises:
        NotFoundError: there is no such grant (any more).
    """
    grant = Grant.objects.select_related("user", "group").filter(pk=grant_id).first()
    if grant is None:
        raise NotFoundError(f"there is no grant {grant_id}; /grants/ has those there are")
    return grant


def get_group(name: str) -> Group | None:
    """A group of people that is no role."""
    group = Group.objects.filter(name=name).first()
    return None if group is None or is_role(group) else group


def change_rights(*, username: str, change: RightsChange, by: Any) -> User:
    """Changes what a person may do; where nothing differs nothing is written.

    Args:
        by: who asks for it; the right to do so was checked.

    Raises:
        NotFoundError: nobody is called so.
        NotAllowedError: the person has all rights, and who asks has not.
        InvalidInputError: there is no such group.
        ConflictError: who asks would lock themselves out.
    """
    with transaction.atomic():
        person = locked_person(username)
        check_may_change(person, change, by)
        before = described(person)
        groups = [g for g in person.groups.all() if not is_role(g)]
        set_rights(
            person,
            roles=roles_of(person) if change.roles is None else change.roles,
            groups=groups if change.groups is None else _groups(change.groups),
            publish_code=(
                may_publish_code(person) if change.publish_code is None else change.publish_code
            ),
        )
        person.is_active = person.is_active if change.active is None else change.active
        person.is_staff = person.is_staff if change.console is None else change.console
        person.save(update_fields=["is_active", "is_staff"])
        after = described(User.objects.get(pk=person.pk))
        if before != after:
            record(
                actor=by.get_username(),
                action="user.update",
                object_type="user",
                object_id=person.pk,
                object_name=person.username,
                before=before,
                after=after,
            )
    return person


def check_may_change(person: User, change: RightsChange, by: Any) -> None:
    """Whether whoever may give rights may change these.

    Raises:
        NotAllowedError: the person has all rights, and who asks has not.
        ConflictError: who asks would lock themselves out.
    """
    if person.is_superuser and not by.is_superuser:
        raise NotAllowedError(
            f"{person.username} has all rights: only who has them too changes that"
        )
    if person.pk != by.pk:
        return
    if change.active is False:
        raise ConflictError("you cannot switch your own account off: another admin can")
    dropped = change.roles is not None and Role.ADMIN not in change.roles
    if dropped and Role.ADMIN in roles_of(person) and not person.is_superuser:
        raise ConflictError("you cannot take the role admin from yourself: another admin can")


def _groups(names: Collection[str]) -> list[Group]:
    found = {name: get_group(name) for name in names}
    if missing := sorted(name for name, group in found.items() if group is None):
        raise InvalidInputError(
            [
                Violation("/groups", "unknown", f"there is no group {name[:80]!r}")
                for name in missing[:20]
            ]
        )
    return [group for group in found.values() if group is not None]

"""Letting in who signed in at an identity provider: known again by issuer and subject alone.

A local account is never taken over by what a provider says: neither a name nor an address that
somebody has there leads to one.
"""

from __future__ import annotations

from itertools import islice

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from control_plane.access.models import Grant, Identity
from control_plane.access.rights import described
from control_plane.access.roles import is_role, roles_of, set_roles
from control_plane.audit.services import record
from control_plane.domain.access import Role
from control_plane.domain.identity import AdmissionRules, NotAdmittedError, Person, usernames

ACTOR = "nereid"
TRIES = 1000


def admit(person: Person, rules: AdmissionRules) -> User:
    """The account of who signed in, made where there is none, with the roles of their groups.

    Roles follow the groups also where it is these that let the person in no more.

    Raises:
        NotAdmittedError: their address, their groups or an admin does not let them in.
    """
    rules.check(person)
    try:
        user = _known_or_new(person, rules)
    except IntegrityError:  # the same person's first sign-in, in two tabs at once
        user = _known_or_new(person, rules)
    if not user.is_active:
        raise NotAdmittedError(f"the account {user.username} was switched off here")
    if not user.is_staff:
        raise NotAdmittedError(f"the account {user.username} may not use the console")
    if not _may_anything(user):
        raise NotAdmittedError(f"none of your groups has a role here, nor {user.username} itself")
    return user


def _known_or_new(person: Person, rules: AdmissionRules) -> User:
    roles = rules.roles_of(person)
    with transaction.atomic():
        identity = (
            Identity.objects.select_for_update()
            .filter(issuer=person.issuer, subject=person.subject)
            .first()
        )
        if identity is None:
            if not roles:
                raise NotAdmittedError("none of your groups has a role here")
            return _new(person, roles)
        user = User.objects.select_for_update().get(pk=identity.user_id)
        before = described(user)
        # What groups gave once goes with them, also when the settings no longer name the role.
        by_groups = rules.managed | {Role(role) for role in identity.roles}
        set_roles(user, [*roles, *(role for role in roles_of(user) if role not in by_groups)])
        _take_words(user, person)
        user.save(update_fields=["first_name", "last_name", "email"])
        identity.roles = sorted(roles)
        identity.save(update_fields=["roles"])
        # Read anew: rights are remembered with the object.
        user = User.objects.get(pk=user.pk)
        after = described(user)
        if before != after:
            _note("user.update", user, person, before, after)
    return user


def _new(person: Person, roles: frozenset[Role]) -> User:
    user = User(username=_free_username(person), is_staff=True)
    user.set_unusable_password()
    _take_words(user, person)
    user.save()
    set_roles(user, roles)
    Identity.objects.create(
        user=user, issuer=person.issuer, subject=person.subject, roles=sorted(roles)
    )
    _note("user.create", user, person, None, described(user))
    return User.objects.get(pk=user.pk)


def _free_username(person: Person) -> str:
    """Never one that somebody has, in whatever letters."""
    for name in islice(usernames(person), TRIES):
        if not User.objects.filter(username__iexact=name).exists():
            return name
    raise NotAdmittedError(f"{TRIES} people are called {person.username!r} here")


def _take_words(user: User, person: Person) -> None:
    user.first_name, user.last_name, user.email = person.name, "", person.email


def _may_anything(user: User) -> bool:
    if user.is_superuser or user.user_permissions.exists():
        return True
    groups = list(user.groups.all())
    if any(is_role(group) or group.permissions.exists() for group in groups):
        return True
    return (
        Grant.objects.filter(user=user).exists() or Grant.objects.filter(group__in=groups).exists()
    )


def _note(action: str, user: User, person: Person, before: object, after: object) -> None:
    record(
        actor=ACTOR,
        action=action,
        object_type="user",
        object_id=user.pk,
        object_name=user.username,
        before=before,
        after=after,
        reason=f"as {person.issuer} says of {person.subject}",
    )

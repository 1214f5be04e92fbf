"""Adding, changing and deleting serving profiles: each is one write with its audit event."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from control_plane.adapters import profiles as built_in
from control_plane.domain.serving.own_profile import read_own_profile
from control_plane.domain.violations import ConflictError, NotFoundError
from control_plane.registry.models import ModelVersion, Profile, ProfileRevision
from control_plane.registry.revised import put_revision, record_change

_NAMED = 3


def put_profile(*, name: str, document: object, actor: str) -> bool:
    """Makes the document the profile's newest revision; True where the profile is new.

    The same document again makes none. What serves stays as it was compiled (decision 28).

    Raises:
        InvalidInputError: the name or the document breaks a rule.
        ConflictError: the profile comes with Nereid, or somebody made it just now.
    """
    profile = read_own_profile(name, document)
    wanted = profile.to_document()
    try:
        with transaction.atomic():
            return put_revision(
                locked_profile(name),
                wanted,
                make=lambda: Profile.objects.create(name=name, newest=1, created_by=actor),
                revise=lambda row: _revise(row, wanted, actor),
                actor=actor,
            )
    except IntegrityError:
        raise ConflictError(f"somebody made a profile {name!r} just now: read it first") from None


def delete_profile(*, name: str, actor: str) -> None:
    """Removes a profile with its revisions, once no version names it.

    Raises:
        NotFoundError: there is none.
        ConflictError: it comes with Nereid, or a version names it.
    """
    with transaction.atomic():
        row = locked_profile(name)
        if row is None:
            raise NotFoundError(f"there is no serving profile named {name!r}")
        # Whoever pushes a version holds its profile: none comes between this look and the end.
        named = ModelVersion.objects.filter(profile=name).select_related("model")
        if count := named.count():
            shown = ", ".join(str(version) for version in named[:_NAMED])
            more = f" and {count - _NAMED} more" if count > _NAMED else ""
            raise ConflictError(f"profile {name!r} is that of {shown}{more}: delete those first")
        before = row.revisions.get(number=row.newest).document
        record_change(row, "delete", actor, before=before)
        row.delete()


def locked_profile(name: str) -> Profile | None:
    """The profile that somebody added, locked until the transaction ends; None: not there.

    Raises:
        ConflictError: it comes with Nereid, and cannot be changed.
    """
    row = Profile.objects.select_for_update().filter(name=name).first()
    if row is None and name in built_in.profile_names():
        raise ConflictError(
            f"profile {name!r} comes with Nereid and cannot be changed: add one of another name"
        )
    return row


def _revise(row: Profile, document: dict[str, Any], actor: str) -> None:
    ProfileRevision.objects.create(
        profile=row, number=row.newest, document=document, created_by=actor
    )

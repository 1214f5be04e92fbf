"""The serving profiles there are: those that come with Nereid, and those that people added.

A name means one profile: where both have it, the one that was added, whose versions then go on as
they were when Nereid brings one of that name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, Q, QuerySet

from control_plane.adapters import profiles as built_in
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.violations import InvalidInputError, NotFoundError, Violation
from control_plane.registry.models import Profile, ProfileRevision

_LISTED = 20


@dataclass(frozen=True)
class KnownProfile:
    """A profile at one revision, None where it is built in.

    `profile` None cannot be read any more: `error` says why, `document` is what was written.
    """

    name: str
    profile: ServingProfile | None
    error: str = ""
    revision: int | None = None
    document: Mapping[str, Any] | None = None
    changed_at: datetime | None = None
    changed_by: str = ""

    @property
    def built_in(self) -> bool:
        return self.revision is None

    @property
    def shown(self) -> Mapping[str, Any]:
        """The document, as it may be sent again."""
        if self.document is not None:
            return self.document
        return self.profile.to_document() if self.profile else {}


def profile_names() -> list[str]:
    """Every name that a version may have as its profile, sorted."""
    own = Profile.objects.values_list("name", flat=True)
    return sorted({*built_in.profile_names(), *own})


def all_profiles() -> list[KnownProfile]:
    """Every profile at its newest revision, by name, in one query."""
    found = {name: _built_in(name) for name in built_in.profile_names()}
    found |= {row.profile.name: _own(row) for row in _newest()}
    return [found[name] for name in sorted(found)]


def profiles_of(
    wanted: Iterable[tuple[str, int | None]],
) -> dict[tuple[str, int | None], KnownProfile]:
    """Those of the wanted (name, revision) that there are, in one query; None: the newest."""
    pairs = set(wanted)
    if not pairs:
        return {}
    exact = Q(pk__in=[])
    for name, number in pairs:
        exact |= Q(profile__name=name, number=F("profile__newest") if number is None else number)
    own = {(row.profile.name, row.number): row for row in _rows().filter(exact)}
    newest = {row.profile.name: row for row in own.values() if row.number == row.profile.newest}
    found: dict[tuple[str, int | None], KnownProfile] = {}
    for name, number in pairs:
        row = newest.get(name) if number is None else own.get((name, number))
        if row is not None:
            found[name, number] = _own(row)
        elif number is None and name in built_in.profile_names():
            found[name, number] = _built_in(name)
    return found


def get_profile(name: str) -> KnownProfile:
    """The profile of that name at its newest revision.

    Raises:
        NotFoundError: there is none.
    """
    found = profiles_of([(name, None)]).get((name, None))
    if found is None:
        raise NotFoundError(f"there is no serving profile named {name!r}")
    return found


def usable_profile(name: str) -> ServingProfile:
    """The profile that a version is to have.

    Raises:
        InvalidInputError: there is none of that name, or it cannot be read.
    """
    found = profiles_of([(name, None)]).get((name, None))
    if found is not None and found.profile is not None:
        return found.profile
    raise InvalidInputError([no_such_profile(name) if found is None else _unreadable(found)])


def hold_profile(name: str) -> None:
    """Keeps a profile that somebody added from being deleted until the transaction ends.

    Raises:
        InvalidInputError: there is none (any more).
    """
    held = Profile.objects.select_for_update(no_key=True).filter(name=name).first()
    if held is None and name not in built_in.profile_names():
        raise InvalidInputError([no_such_profile(name)])


def no_such_profile(name: str) -> Violation:
    """What is wrong with a name that no profile has."""
    names = profile_names()
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    detail = f"{name[:80]!r}: the profiles are {', '.join(names[:_LISTED])}{more}"
    return Violation("/profile", "not_found", detail)


def _unreadable(known: KnownProfile) -> Violation:
    detail = f"the serving profile {known.name!r} cannot be read: {known.error}"
    return Violation("/profile", "unreadable", detail)


def _rows() -> QuerySet[ProfileRevision]:
    return ProfileRevision.objects.select_related("profile")


def _newest() -> QuerySet[ProfileRevision]:
    return _rows().filter(number=F("profile__newest"))


def _built_in(name: str) -> KnownProfile:
    try:
        return KnownProfile(name, built_in.load_profile(name))
    except ValueError as error:
        return KnownProfile(name, None, str(error))


def _own(row: ProfileRevision) -> KnownProfile:
    name = row.profile.name
    profile, error = None, ""
    try:
        # What was taken once may be refused by a later Nereid: that is told, and is no failure.
        profile = ServingProfile.from_values(name, row.document)
    except ValueError as refusal:
        error = str(refusal)
    return KnownProfile(
        name, profile, error, row.number, row.document, row.created_at, row.created_by
    )

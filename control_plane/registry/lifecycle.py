"""The end of a version's life, and the way back: archive, unarchive, delete.

The registry asks where a version serves through `ports.serving`; the database holds the answer
(a revision's reference is protected, and a trigger of the endpoints' refuses what the registry
should have).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Model as DjangoModel
from django.db.models import ProtectedError
from django.db.models.deletion import Collector

from control_plane.domain.registry.states import (
    IllegalTransitionError,
    Place,
    Transition,
    VersionState,
    archived,
    check_unused,
    moved,
)
from control_plane.domain.stored_json import check_text
from control_plane.domain.violations import ConflictError, NotFoundError
from control_plane.ports.queue import Queue
from control_plane.ports.serving import ServingPlaces
from control_plane.registry.models import ModelVersion
from control_plane.registry.services import essence, record_version

_USES_NAMED = 3


def archive_version(
    *, version_id: UUID, actor: str, serving: ServingPlaces, reason: str = ""
) -> ModelVersion:
    """Takes a version out of use: it stays with its artifact, and serves no more.

    Raises:
        NotFoundError: the version is gone.
        IllegalTransitionError: it serves, an alias points to it, or its state forbids it.
    """
    check_text(reason, "/reason")
    with transaction.atomic():
        version = locked_version(version_id)
        step = archived(
            str_of(version),
            VersionState(version.state),
            reason.strip() or f"archived by {actor}",
            places=places_of(version, serving),
            aliases=alias_names(version),
        )
        _step(version, step, "version.archive", actor)
    return version


def unarchive_version(
    *, version_id: UUID, actor: str, queue: Queue, reason: str = ""
) -> ModelVersion:
    """Brings a version back: it is validated anew, and then ready or rejected.

    Raises:
        NotFoundError: the version is gone.
        IllegalTransitionError: it is not archived.
    """
    check_text(reason, "/reason")
    with transaction.atomic():
        version = locked_version(version_id)
        present = VersionState(version.state)
        if present != VersionState.ARCHIVED:
            moved(str_of(version), present, VersionState.VALIDATING, "")
            raise ConflictError(f"{str_of(version)} is {present}, not archived")
        if version.artifact_id is None:
            raise ConflictError(f"{str_of(version)} has no file: it could not be fetched")
        words = reason.strip() or f"brought back by {actor}"
        step = moved(str_of(version), present, VersionState.VALIDATING, words)
        version.validating_since, version.validation_attempts = None, 0
        _step(version, step, "version.unarchive", actor)
        # Robust: the version stands, and the sweep asks when the broker is back.
        transaction.on_commit(lambda: queue.validate(version_id=version_id), robust=True)
    return version


def delete_version(*, version_id: UUID, actor: str, serving: ServingPlaces) -> None:
    """Removes a version that no revision uses and no alias points to.

    Raises:
        NotFoundError: the version is gone already.
        ConflictError: it serves, an alias points to it, or an earlier revision uses it; the
            message says where.
    """
    try:
        with transaction.atomic():
            version = locked_version(version_id)
            places = places_of(version, serving)
            check_unused(str_of(version), "deleted", places, alias_names(version))
            record_version(version, "version.delete", actor, before=essence(version))
            version.delete()
    except ProtectedError as error:
        raise ConflictError(_kept_by(version, error)) from None


def why_kept(version: ModelVersion, serving: ServingPlaces) -> str:
    """Why a version cannot be deleted as things stand, in words; empty where it can."""
    try:
        check_unused(str_of(version), "deleted", places_of(version, serving), alias_names(version))
        # Finds what a deletion would, and deletes nothing.
        Collector(using=DEFAULT_DB_ALIAS).collect([version])
    except IllegalTransitionError as refusal:
        return str(refusal)
    except ProtectedError as error:
        return _kept_by(version, error)
    return ""


def locked_version(version_id: UUID) -> ModelVersion:
    """The version, which nobody else changes or begins to use until the transaction ends.

    Raises:
        NotFoundError: it is gone.
    """
    rows = ModelVersion.objects.select_related("model", "artifact")
    version = rows.select_for_update(of=("self",)).filter(id=version_id).first()
    if version is None:
        raise NotFoundError("the version was deleted just now")
    return version


def str_of(version: ModelVersion) -> str:
    """`digits:2`, as commands and policies name it."""
    return f"{version.model.name}:{version.number}"


def places_of(version: ModelVersion, serving: ServingPlaces) -> Sequence[Place]:
    """Where the version serves."""
    return serving.of([version.id]).get(version.id, ())


def alias_names(version: ModelVersion) -> list[str]:
    """The aliases that point to the version."""
    return list(version.aliases.values_list("name", flat=True))


def _step(version: ModelVersion, step: Transition, action: str, actor: str) -> None:
    before = {"state": version.state, "state_reason": version.state_reason}
    version.state, version.state_reason = step.state, step.reason
    version.save(update_fields=["state", "state_reason", "validating_since", "validation_attempts"])
    after = {"state": version.state, "state_reason": version.state_reason}
    record_version(version, action, actor, before=before, after=after, reason=step.reason)


def _kept_by(version: ModelVersion, error: ProtectedError) -> str:
    uses = uses_in_words(error.protected_objects)
    return f"{str_of(version)} is used by {uses}; it can be archived, which keeps it on record"


def uses_in_words(rows: Iterable[DjangoModel]) -> str:
    """The newest three of the rows that use something, and how many more there are.

    They belong to rooms above this one and name themselves, which takes what they point to:
    that is fetched with them, for an endpoint has hundreds of revisions.
    """
    found = sorted(rows, key=lambda row: row.pk, reverse=True)
    manager = type(found[0])._default_manager
    named = manager.select_related().filter(pk__in=[row.pk for row in found[:_USES_NAMED]])
    words = [str(row) for row in named.order_by("pk")]
    more = len(found) - len(words)
    return ", ".join(words) + (f" and {more} more" if more > 0 else "")

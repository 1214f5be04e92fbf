"""Setting, moving and removing aliases: each is one write with its audit event."""

from __future__ import annotations

from django.db import transaction

from control_plane.audit.services import record
from control_plane.domain.registry.aliases import check_alias
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    Violation,
)
from control_plane.registry.models import Alias, Model, ModelVersion, VersionState
from control_plane.registry.services import locked_model

_NEVER_SERVES = (VersionState.REJECTED, VersionState.ARCHIVED)


def set_alias(*, model: str, alias: str, version: int, actor: str) -> tuple[Alias, bool]:
    """Points an alias to a version, from wherever it pointed before; True where it is new.

    Where it points there already nothing is written.

    Raises:
        NotFoundError: there is no such model.
        InvalidInputError: the name breaks the rule, or the model has no such version.
        ConflictError: the version is rejected or archived.
    """
    check_alias(alias)
    with transaction.atomic():
        row = locked_model(model)
        target = _target(row, version)
        # A model's aliases change one after the other: the model is locked.
        present = row.aliases.select_related("version").filter(name=alias).first()
        if present and present.version_id == target.id:
            return present, False
        before = {alias: present.version.number} if present else None
        changed, made = Alias.objects.update_or_create(
            model=row, name=alias, defaults={"version": target, "updated_by": actor}
        )
        _record(row, "alias.set", actor, before=before, after={alias: target.number})
    return changed, made


def delete_alias(*, model: str, alias: str, actor: str) -> None:
    """Removes an alias; policies that were written with it keep their numbers.

    Raises:
        NotFoundError: there is no such model, or no such alias of it.
    """
    with transaction.atomic():
        row = locked_model(model)
        present = row.aliases.select_related("version").filter(name=alias).first()
        if present is None:
            raise NotFoundError(f"model {model!r} has no alias {alias!r}")
        _record(row, "alias.delete", actor, before={alias: present.version.number}, after=None)
        present.delete()


def _target(model: Model, number: int) -> ModelVersion:
    """The version, locked: it is neither archived nor deleted before the alias stands."""
    target = model.versions.select_for_update().filter(number=number).first()
    if target is None:
        detail = f"model {model.name!r} has no version {number}"
        raise InvalidInputError([Violation("/version", "not_found", detail)])
    if target.state in _NEVER_SERVES:
        raise ConflictError(
            f"{model.name}:{number} is {target.state} and cannot serve, so no alias points to it"
        )
    return target


def _record(
    model: Model,
    action: str,
    actor: str,
    *,
    before: dict[str, int] | None,
    after: dict[str, int] | None,
) -> None:
    """On the model, whose history then shows where its aliases went."""
    record(
        actor=actor,
        action=action,
        object_type="model",
        object_id=model.id,
        object_name=model.name,
        before=before,
        after=after,
    )

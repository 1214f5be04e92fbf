"""Records that are a row of immutable revisions: how each put makes one, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from control_plane.audit.services import record
from control_plane.registry.models import Revised

Row = TypeVar("Row", bound=Revised)


def put_revision(
    row: Row | None,
    wanted: dict[str, Any],
    *,
    make: Callable[[], Row],
    revise: Callable[[Row], object],
    actor: str,
) -> bool:
    """Makes a document the newest revision; True where the record is new.

    The same document again makes none.

    Args:
        row: locked by the transaction that this runs in; None: there is none yet.
        make: adds the record, its `newest` being 1.
        revise: adds the revision of the number that is the record's newest.
    """
    if row is None:
        row = make()
        revise(row)
        record_change(row, "create", actor, after=wanted)
        return True
    present = row.revisions.get(number=row.newest).document
    if present == wanted:
        return False
    row.newest += 1
    row.save(update_fields=["newest"])
    revise(row)
    record_change(row, "update", actor, before=present, after=wanted)
    return False


def record_change(
    row: Revised,
    action: str,
    actor: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """The audit event of a change; the record's kind is in its name: `profile.update`."""
    kind = str(row._meta.verbose_name).replace(" ", "_")
    record(
        actor=actor,
        action=f"{kind}.{action}",
        object_type=kind,
        object_id=row.pk,
        object_name=row.name,
        before=before,
        after=after,
    )

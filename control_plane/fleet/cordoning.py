"""What people do to a server: label it, cordon it, drain it, and undo both."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from control_plane.audit.services import record
from control_plane.domain.placement.labels import MOST, check_labels
from control_plane.domain.stored_json import check_text, merged_tags
from control_plane.domain.violations import InvalidInputError, NotFoundError, Violation
from control_plane.fleet.models import Server


def label_server(*, name: str, labels: Mapping[str, str | None], actor: str) -> Server:
    """Sets labels of a server, over those that its node gives it; None takes one back.

    The others stay. The same again writes nothing.

    Raises:
        NotFoundError: there is no such server.
        InvalidInputError: a label breaks the rule for labels, or is the server's own.
    """
    given = {key: value for key, value in labels.items() if value is not None}
    if found := check_labels(given, "/labels"):
        raise InvalidInputError(found)
    with transaction.atomic():
        server = _locked(name)
        before, after = server.set_labels, merged_tags(server.set_labels, labels)
        if len(after) > MOST:
            detail = f"{len(after)} labels; at most {MOST}: take some back with null"
            raise InvalidInputError([Violation("/labels", "too_many", detail)])
        if before != after:
            server.set_labels = after
            server.save(update_fields=["set_labels"])
            _note("server.label", server, actor, {"labels": before}, {"labels": after}, "")
    return server


def cordon_server(*, name: str, actor: str, now: datetime, reason: str = "") -> Server:
    """Nothing new is placed there; what is there stays. Of one that is drained the drain ends.

    Raises:
        NotFoundError: there is no such server.
    """
    return _set(name, "server.cordon", actor, reason, now, cordoned=True, draining=False)


def drain_server(*, name: str, actor: str, now: datetime, reason: str = "") -> Server:
    """Cordons a server, and lets what it holds move to others, as far as they can take it.

    Nothing leaves before it serves elsewhere. Uncordoning is the way back.

    Raises:
        NotFoundError: there is no such server.
    """
    return _set(name, "server.drain", actor, reason, now, cordoned=True, draining=True)


def uncordon_server(*, name: str, actor: str, now: datetime, reason: str = "") -> Server:
    """It may be placed on again, and a drain ends.

    What is meant to be on every server comes back; replicas that moved stay where they are.

    Raises:
        NotFoundError: there is no such server.
    """
    return _set(name, "server.uncordon", actor, reason, now, cordoned=False, draining=False)


def _set(
    name: str,
    action: str,
    actor: str,
    reason: str,
    now: datetime,
    *,
    cordoned: bool,
    draining: bool,
) -> Server:
    """Writes both, with who and since when; the same again writes nothing."""
    check_text(reason, "/reason")
    with transaction.atomic():
        server = _locked(name)
        before = {"cordoned": server.cordoned_at is not None, "draining": server.draining}
        after = {"cordoned": cordoned, "draining": draining}
        if before == after:
            return server
        server.draining = draining
        server.cordoned_at = (server.cordoned_at or now) if cordoned else None
        server.cordoned_by = actor if cordoned else ""
        server.cordon_reason = reason if cordoned else ""
        server.save(update_fields=["draining", "cordoned_at", "cordoned_by", "cordon_reason"])
        _note(action, server, actor, before, after, reason)
    return server


def _locked(name: str) -> Server:
    # No key changes: who places something there meanwhile does not wait for this.
    server = Server.objects.select_for_update(no_key=True).filter(name=name).first()
    if server is None:
        raise NotFoundError(f"there is no server named {name!r}")
    return server


def _note(action: str, server: Server, actor: str, before: Any, after: Any, reason: str) -> None:
    record(
        actor=actor,
        action=action,
        object_type="server",
        object_id=server.id,
        object_name=server.name,
        before=before,
        after=after,
        reason=reason,
    )

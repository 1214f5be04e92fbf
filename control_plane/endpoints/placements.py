"""Saying which servers an endpoint shall be on, and reading what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from control_plane.audit.services import record
from control_plane.domain.placement.placing import Placing
from control_plane.domain.placement.wanted import parse_wanted
from control_plane.domain.violations import ConflictError
from control_plane.endpoints.intent import announce, locked
from control_plane.endpoints.models import Endpoint, Placement
from control_plane.endpoints.placing import foreseen, placement_of, placing_of
from control_plane.endpoints.selectors import LEAVING, get_endpoint, holding, latest_plan
from control_plane.fleet.models import Server
from control_plane.ports.queue import Queue

ACTION = "endpoint.placement"
"""What a change of it is called in the audit record."""

ANYTHING = object()
"""Whatever it is now, it may be changed."""

NEVER = -1
"""No change of the fleet has this number: what was placed after it is placed anew."""


def set_placement(
    *,
    name: str,
    document: Mapping[str, Any] | None,
    actor: str,
    queue: Queue,
    reason: str = "",
    seen: object = ANYTHING,
) -> Endpoint:
    """Says which servers an endpoint shall be on; None: on every one.

    It moves without a request that fails: nobody is left before the others serve. Which version
    answers stays as it is, so the four-eyes rule has no part in it. The same again writes nothing.

    Args:
        seen: the placement that whoever asks knows of, as it is kept.

    Raises:
        NotFoundError: there is no such endpoint.
        InvalidInputError: the placement breaks a rule.
        ConflictError: it is another one than was seen.
    """
    wanted = None if document is None else parse_wanted(document).to_document()
    with transaction.atomic():
        endpoint = locked(name)
        before = endpoint.placement
        if before == wanted:
            return endpoint
        if seen is not ANYTHING and before != seen:
            present = placement_of(endpoint).in_words()
            raise ConflictError(f"it was changed meanwhile, and is placed on {present} now")
        endpoint.placement, endpoint.placed_at_change = wanted, NEVER
        endpoint.changed_by = actor
        endpoint.look_again = True
        fields = ["placement", "placed_at_change", "changed_by", "look_again", "updated_at"]
        endpoint.save(update_fields=fields)
        record(
            actor=actor,
            action=ACTION,
            object_type="endpoint",
            object_id=endpoint.id,
            object_name=name,
            before=before,
            after=wanted,
            reason=reason,
        )
        announce(endpoint, queue)
    return endpoint


def placing_now(endpoint: Endpoint, now: datetime) -> Placing:
    """Where the endpoint is placed, and why not elsewhere, as a look at it would find now."""
    return foreseen(endpoint, latest_plan(endpoint), placement_of(endpoint), now)


def placing_with(name: str, document: object, now: datetime) -> Placing:
    """Where it would be placed by another placement: the dry run.

    Raises:
        NotFoundError: there is no such endpoint.
        InvalidInputError: the placement breaks a rule.
    """
    wanted = parse_wanted(document)
    endpoint = get_endpoint(name)
    return foreseen(endpoint, latest_plan(endpoint), wanted, now)


def drain_would(
    server: Server, now: datetime, most: int | None = None
) -> list[tuple[Endpoint, str]]:
    """What a drain would do to each endpoint that the server holds; nothing is written.

    Args:
        most: foreseen for so many, by name; None: for all.
    """
    found = []
    for row in _held(server)[:most]:
        endpoint, plan = row.endpoint, latest_plan(row.endpoint)
        placing = foreseen(endpoint, plan, placement_of(endpoint), now, drained=server.name)
        if server.name in placing.servers:
            found.append((endpoint, f"stays: {placing.problem}"))
            continue
        present = endpoint.placements.filter(assigned=True).exclude(server=server)
        new = set(placing.servers) - set(present.values_list("server__name", flat=True))
        said = f"moves to {', '.join(sorted(new))}" if new else ""
        found.append((endpoint, said or f"goes on at {', '.join(placing.servers)}"))
    return found


def left_on(server: Server) -> list[tuple[Placement, str]]:
    """What a server that is drained still holds, and what each waits for, in words."""
    return [(row, _waits(row, server.name)) for row in _held(server)]


def _held(server: Server) -> QuerySet[Placement]:
    rows = holding(server.placements.select_related("endpoint"))
    return rows.order_by("endpoint__name")


def _waits(row: Placement, server: str) -> str:
    if row.leaving_at:
        return LEAVING
    placing = placing_of(row.endpoint)
    parts = placing.said if placing else ()
    why = next((part.reason for part in parts if part.server == server), "waits for a look")
    if row.assigned:
        return why
    return f"{why} ({row.endpoint.reason})" if row.endpoint.reason else why

"""Which endpoints a change of servers touches: those are due at once, all others in their turn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from control_plane.domain.placement.touching import is_touched
from control_plane.domain.placement.wanted import EVERYWHERE, parse_wanted
from control_plane.endpoints.models import Endpoint, Placement
from control_plane.endpoints.placing import fleet_change
from control_plane.endpoints.selectors import free
from control_plane.fleet.models import Server, ServerChange
from control_plane.fleet.selectors import labels_of

A_SWEEP = 20
"""Endpoints that no change touches and that a sweep has looked at all the same: ten a second, an
eighth of a core. Whatever the rule for touching misses is found so, within minutes."""


def judge_changes() -> int:
    """Has every endpoint looked at again that a change of servers touches; returns how many.

    Each endpoint is judged once a change. Who is being written just now is judged the next time.
    """
    number = fleet_change()
    behind = _behind(number).filter(judged_at_change__lt=number)
    if not behind.exists():
        return 0
    with transaction.atomic():
        rows = list(
            behind.select_for_update(no_key=True, skip_locked=True).values(
                *("id", "placement", "placing__servers", "placing__problem"),
                *("placed_at_change", "judged_at_change"),
            )
        )
        touched = _touched(rows, number)
        Endpoint.objects.filter(id__in=touched).update(look_again=True)
        Endpoint.objects.filter(id__in=[row["id"] for row in rows]).update(judged_at_change=number)
    return len(touched)


def next_in_turn(now: datetime) -> QuerySet[Endpoint]:
    """Some of those that were not looked at since the last change, the oldest look first."""
    rows = _behind(fleet_change()).filter(free(now))
    return rows.order_by("placed_at_change", "id")[:A_SWEEP]


def _behind(number: int) -> QuerySet[Endpoint]:
    return Endpoint.objects.filter(~Q(generation=0), placed_at_change__lt=number)


def _touched(rows: Iterable[dict[str, Any]], number: int) -> list[UUID]:
    changes = dict(ServerChange.objects.filter(number__lte=number).values_list("number", "server"))
    oldest = min(changes, default=number + 1)
    labels = {server.name: labels_of(server) for server in _servers(set(changes.values()))}
    there: dict[UUID, set[str]] = defaultdict(set)
    names = Placement.objects.filter(server__name__in=labels)
    for endpoint_id, name in names.values_list("endpoint_id", "server__name"):
        there[endpoint_id].add(name)
    found = []
    for row in rows:
        since = max(row["placed_at_change"], row["judged_at_change"])
        changed = {changes[n]: labels.get(changes[n]) for n in changes if n > since}
        # Changes that are forgotten by now may have been of any server.
        unknown = since + 1 < oldest
        unsettled = row["placing__servers"] is None or bool(row["placing__problem"])
        wanted = parse_wanted(row["placement"]) if row["placement"] else EVERYWHERE
        on = frozenset(row["placing__servers"] or ()) | there[row["id"]]
        if unknown or is_touched(wanted, on, unsettled, changed):
            found.append(row["id"])
    return found


def _servers(names: set[str]) -> QuerySet[Server]:
    return Server.objects.filter(name__in=names).defer("held", "backends")

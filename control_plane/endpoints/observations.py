"""What nodes say they did, persisted under a generation check."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from control_plane.domain.planning.reconcile import SEQUENCES_MAY_TAKE
from control_plane.endpoints.models import Endpoint, Placement, Revision
from control_plane.fleet.models import Server

_FIELD = {"prepare": "prepared", "switch": "switched", "retire": "retired"}


def sent(*, endpoint_id: UUID, server: Server, verb: str, generation: int, now: datetime) -> None:
    """Notes that a command is on its way, so that it is not sent at every look."""
    said = {"sent_verb": verb, "sent_generation": generation, "sent_at": now}
    if verb == "remove":
        # From here on nobody counts on what it holds: placed there again, it is brought anew.
        Placement.objects.filter(endpoint_id=endpoint_id, server=server, assigned=False).update(
            prepared=0, switched=0, retired=0, ready_models=[]
        )
    # What is removed once more, because its node said meanwhile that it is gone, is placed nowhere.
    Placement.objects.update_or_create(
        endpoint_id=endpoint_id,
        server=server,
        defaults=said,
        create_defaults={**said, "assigned": verb != "remove"},
    )


def succeeded(
    *,
    endpoint_id: UUID,
    server: str,
    verb: str,
    generation: int,
    ready_models: Iterable[str],
    now: datetime,
) -> None:
    """Notes that a node carried a command out; an older one never overwrites a newer."""
    with transaction.atomic():
        placement = _locked(endpoint_id, server)
        if placement is None:
            return
        field = _FIELD[verb]
        if generation < getattr(placement, field):
            return
        setattr(placement, field, generation)
        if verb == "switch":
            # A switch finds every arm ready, so it stands for the preparation too.
            placement.prepared = max(placement.prepared, generation)
            revisions = Revision.objects.filter(endpoint_id=endpoint_id, generation=generation)
            revisions.filter(switched_from=None).update(switched_from=now)
        if placement.failed <= generation and verb != "retire":
            placement.failed, placement.failure, placement.failed_at = 0, "", None
        placement.ready_models = sorted(ready_models)
        placement.observed_at = now
        placement.save()


def failed(*, endpoint_id: UUID, server: str, generation: int, reason: str, now: datetime) -> None:
    """Notes that a node could not carry a command out, and why."""
    with transaction.atomic():
        placement = _locked(endpoint_id, server)
        if placement is None or generation < placement.failed:
            return
        placement.failed, placement.failure, placement.failed_at = generation, reason, now
        placement.prepared = min(placement.prepared, generation - 1)
        placement.ready_models = []
        placement.observed_at = now
        placement.save()


def unprepared(*, endpoint_id: UUID, server: str, generation: int) -> None:
    """Notes that the arms are not loaded there after all: the next look prepares them again."""
    with transaction.atomic():
        placement = _locked(endpoint_id, server)
        if placement is None:
            return
        placement.prepared = min(placement.prepared, generation - 1)
        placement.ready_models = []
        placement.unready = max(placement.unready, generation)
        placement.save()


def may_come(*, endpoint_id: UUID, server: str) -> bool:
    """Whether a command that would bring the endpoint to a server is still meant.

    One that comes late, after the endpoint was taken off there, is not; what serves there as long
    as the others do not is changed all the same.
    """
    rows = Placement.objects.filter(endpoint_id=endpoint_id, server__name=server)
    return rows.filter(Q(assigned=True) | Q(switched__gt=0)).exists()


def removed(*, endpoint_id: UUID, server: str) -> None:
    """Notes that a node holds nothing of the endpoint any more."""
    rows = Placement.objects.filter(endpoint_id=endpoint_id, server__name=server)
    # One that was placed there again meanwhile is on its way back.
    rows.filter(Q(assigned=False) | Q(endpoint__deleted_at__isnull=False)).delete()


def may_go(*, endpoint: Endpoint, server: str) -> bool:
    """Whether a removal is still meant: not where the endpoint was placed there again meanwhile."""
    if endpoint.deleted_at:
        return True
    rows = Placement.objects.filter(endpoint=endpoint, server__name=server, assigned=True)
    return not rows.exists()


def may_wait(*, endpoint: Endpoint, server: str, now: datetime) -> bool:
    """Whether a removal waits for live sequences: not for ever, and not where traffic is killed."""
    since = now - SEQUENCES_MAY_TAKE
    rows = Placement.objects.filter(endpoint=endpoint, server__name=server, leaving_at__gt=since)
    present = Revision.objects.filter(endpoint=endpoint, generation=endpoint.generation).first()
    plan = present.compiled if present else None
    urgent = plan is not None and plan.urgent
    return endpoint.deleted_at is None and not urgent and rows.exists()


def lost_while_away(*, server: str, now: datetime) -> int:
    """What was sent to a server whose Triton was away counts as lost, and is due at once.

    A command that does not reach Triton says nothing, and would be sent again only after
    `COMMAND_EXPIRY`. One that is under way all the same comes twice, and does nothing twice.
    Returns how many endpoints are due.
    """
    silent = Q(observed_at=None) | Q(observed_at__lt=F("sent_at"))
    with transaction.atomic():
        rows = Placement.objects.filter(silent, server__name=server, sent_at__isnull=False)
        endpoints = list(rows.values_list("endpoint_id", flat=True))
        rows.update(sent_at=None)
        return Endpoint.objects.filter(pk__in=endpoints).update(look_at=now)


def look_anew(*, now: datetime) -> None:
    """Takes nothing for under way, and has every endpoint looked at: the records were put back.

    Whoever held a lease then, and whatever was on its way, is gone.
    """
    Endpoint.objects.update(lease_owner="", lease_expires_at=None, look_at=now)
    Placement.objects.update(sent_at=None)


def _locked(endpoint_id: UUID, server: str) -> Any:
    rows = Placement.objects.select_for_update(of=("self",))
    return rows.filter(endpoint_id=endpoint_id, server__name=server).first()

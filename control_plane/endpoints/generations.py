"""Generations only grow, also where a record was lost and a node remembers more."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import transaction

from control_plane.audit.services import record
from control_plane.endpoints.history import keep_history
from control_plane.endpoints.models import Endpoint, RetiredName

logger = logging.getLogger(__name__)


def floor_of(name: str) -> int:
    """The highest generation that an endpoint of this name ever had, if it is gone; else 0.

    Nodes fence by (name, generation): a new endpoint of an old name has to begin above it.
    """
    return RetiredName.objects.filter(name=name).values_list("generation", flat=True).first() or 0


def retire_name(endpoint: Endpoint, now: datetime) -> None:
    """Removes an endpoint's record; its generations and what it served are remembered."""
    with transaction.atomic():
        keep_history(endpoint, now)
        RetiredName.objects.update_or_create(
            name=endpoint.name, defaults={"generation": endpoint.generation}
        )
        endpoint.delete()


def overtake(*, endpoint_id: UUID, generation: int, seen: int) -> bool:
    """Lifts an endpoint above what a node has seen; False when the command was merely late.

    A node that has seen more than the control plane ever said means that records were lost,
    by a database put back from a backup, say. The intent stays the same.
    """
    with transaction.atomic():
        endpoint = Endpoint.objects.select_for_update().filter(id=endpoint_id).first()
        if endpoint is None or endpoint.generation != generation or seen < generation:
            return False
        endpoint.generation = seen + 1
        endpoint.save(update_fields=["generation", "updated_at"])
        record(
            actor="nereid",
            action="endpoint.generation",
            object_type="endpoint",
            object_id=endpoint.id,
            object_name=endpoint.name,
            before={"generation": generation},
            after={"generation": endpoint.generation},
            reason=f"a node has seen generation {seen} already",
        )
    logger.warning("%s: generation %s -> %s", endpoint.name, generation, endpoint.generation)
    return True


def left_behind(*, seen: Mapping[str, int], now: datetime) -> list[str]:
    """Lifts every endpoint that a node has seen a later generation of than is on record.

    Nothing is sent for an endpoint that counts as switched, so no command would ever find out: a
    database put back from a backup would say one thing, and the node go on serving another.

    Args:
        seen: what the node has seen, by endpoint; read before this is called, so that what is on
            record can only be ahead of it.

    Returns:
        The names of the endpoints that were lifted; the next look brings them to what is on record.
    """
    lifted = []
    for endpoint in Endpoint.objects.filter(name__in=seen, generation__gt=0).order_by("name"):
        highest = seen[endpoint.name]
        if highest > endpoint.generation and overtake(
            endpoint_id=endpoint.id, generation=endpoint.generation, seen=highest
        ):
            Endpoint.objects.filter(pk=endpoint.pk).update(look_at=now)
            lifted.append(endpoint.name)
    return lifted

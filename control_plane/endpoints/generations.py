"""Generations only grow, also where a record was lost and a node remembers more."""

from __future__ import annotations

import logging
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

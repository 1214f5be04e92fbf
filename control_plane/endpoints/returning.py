"""What a node serves that nobody knows of: its server was removed by force, and came back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef

from control_plane.endpoints.models import Endpoint, Placement, RetiredName
from control_plane.fleet.agent import NodeAgent, StaleCommandError
from control_plane.fleet.models import Server
from control_plane.fleet.retiring import StillBusyError
from control_plane.ports.triton import TritonError

logger = logging.getLogger(__name__)


def make_known(*, server: str, agent: NodeAgent, now: datetime) -> None:
    """Notes what this node serves unknown, and takes off what is no endpoint any more."""
    if found := came_back(server=server, serves=agent.serves, now=now):
        logger.warning("the control plane is told that this serves here: %s", ", ".join(found))
    take_off_forgotten(agent)


def came_back(*, server: str, serves: Callable[[], Mapping[str, int]], now: datetime) -> list[str]:
    """Notes what a node serves that nobody knows of: it was removed by force, and came back.

    It is placed nowhere by that; the next look places it there, or takes it off. Returns the
    endpoints concerned.

    Args:
        serves: asked after the records are read: what was taken off meanwhile is not in it.
    """
    rows = Placement.objects.filter(server__name=server)
    known = set(rows.values_list("endpoint__name", flat=True))
    there = {name: at for name, at in serves().items() if name not in known}
    found = list(Endpoint.objects.filter(name__in=there, generation__gt=0).order_by("name"))
    own = Server.objects.filter(name=server).first() if found else None
    if own is None:
        return []
    with transaction.atomic():
        Placement.objects.bulk_create(
            [
                Placement(
                    endpoint=endpoint,
                    server=own,
                    assigned=False,
                    prepared=there[endpoint.name],
                    switched=there[endpoint.name],
                    observed_at=now,
                )
                for endpoint in found
            ],
            ignore_conflicts=True,
        )
        Endpoint.objects.filter(pk__in=[endpoint.pk for endpoint in found]).update(look_at=now)
    return [endpoint.name for endpoint in found]


def take_off_forgotten(agent: NodeAgent) -> list[str]:
    """Takes off what was deleted while nobody knew of this server; returns the names.

    No command can come for it: its record is gone. A name that was never an endpoint here, or that
    served at a later generation than was ever known of, is left: records may have been lost.
    """
    present = Endpoint.objects.filter(name=OuterRef("name"))
    serves = agent.serves()
    gone = RetiredName.objects.filter(~Exists(present), name__in=serves)
    taken = []
    for name, generation in gone.values_list("name", "generation"):
        if serves[name] > generation:
            continue
        try:
            agent.remove(name, generation)
        except StillBusyError as error:
            logger.info("%s was deleted: %s", name, error)
        except (StaleCommandError, TritonError) as error:
            logger.warning("%s was deleted, and stays here: %s", name, error)
            continue
        taken.append(name)
    return taken

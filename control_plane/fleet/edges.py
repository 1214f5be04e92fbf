"""The proxies in front of the servers, as the writers of their files see them."""

from __future__ import annotations

from datetime import datetime, timedelta

from control_plane.domain.edge.sight import EdgeSight
from control_plane.fleet.models import Edge

FORGOTTEN_AFTER = timedelta(days=1)
"""One that nothing is heard of for so long is told of no more: it may have been taken away."""


def note_edge(*, name: str, seen: EdgeSight, now: datetime) -> None:
    """Notes how a proxy is, and forgets those that fell silent long ago."""
    Edge.objects.update_or_create(name=name, defaults={"sight": seen.document(), "seen_at": now})
    Edge.objects.filter(seen_at__lt=now - FORGOTTEN_AFTER).delete()


def forget_edge(*, name: str) -> None:
    """Forgets one that is stopped because somebody wants it to be."""
    Edge.objects.filter(name=name).delete()


def known_edges(now: datetime) -> list[Edge]:
    """Those that there should be, also when they are silent."""
    return list(Edge.objects.filter(seen_at__gte=now - FORGOTTEN_AFTER))

"""Watching the fleet."""

from __future__ import annotations

from celery import shared_task

from control_plane import wiring
from control_plane.fleet.services import notice_lost_servers


@shared_task(name="fleet.lost")
def lost() -> None:
    """Notices servers that fell silent."""
    notice_lost_servers(now=wiring.clock().now())

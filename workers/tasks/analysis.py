"""Asking others what analyses measure."""

from __future__ import annotations

from celery import shared_task

from control_plane import wiring
from control_plane.analysis.asking import ask_all


@shared_task(name="analysis.ask")
def ask() -> None:
    """Asks Prometheus for what the runs that are under way compare."""
    ask_all(wiring.prometheus(), wiring.clock().now())

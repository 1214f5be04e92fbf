"""Forgetting old answers."""

from __future__ import annotations

from celery import shared_task

from control_plane import wiring
from control_plane.idempotency.services import forget_old_answers


@shared_task(name="idempotency.forget")
def forget() -> None:
    """Removes the answers that are older than a day."""
    forget_old_answers(wiring.clock().now())

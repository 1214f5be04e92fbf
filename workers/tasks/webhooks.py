"""Delivering webhooks."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from control_plane import wiring
from control_plane.audit.request import answering
from control_plane.webhooks import delivering
from control_plane.webhooks.forgetting import forget_old_deliveries


@shared_task(name="webhooks.deliver")
def deliver(*, webhook_id: str) -> None:
    """Delivers what is due to one webhook.

    What is due comes from many requests: what becomes of it belongs to none of them.
    """
    with answering(""):
        delivering.deliver(
            webhook_id=UUID(webhook_id),
            clock=wiring.clock(),
            queue=wiring.queue(),
            receivers=wiring.receivers(),
        )


@shared_task(name="webhooks.sweep")
def sweep() -> None:
    """Finds the deliveries whose time has come, or whose message was lost."""
    delivering.sweep(clock=wiring.clock(), queue=wiring.queue())


@shared_task(name="webhooks.forget")
def forget() -> None:
    """Removes the deliveries that ended a month ago."""
    forget_old_deliveries(wiring.clock().now())

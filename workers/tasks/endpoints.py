"""Reconciling endpoints."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from control_plane import wiring
from control_plane.endpoints.budgets import watch_budgets
from control_plane.endpoints.reconcile import reconcile, sweep


@shared_task(name="reconcile.endpoint")
def reconcile_endpoint(*, endpoint_id: str) -> None:
    """Brings one endpoint a step nearer to its intent."""
    reconcile(
        endpoint_id=UUID(endpoint_id),
        clock=wiring.clock(),
        queue=wiring.queue(),
        print_config=wiring.print_config,
    )


@shared_task(name="reconcile.sweep")
def reconcile_sweep() -> None:
    """Finds the endpoints whose message was lost, or whose time to look again has come."""
    sweep(clock=wiring.clock(), queue=wiring.queue())


@shared_task(name="endpoints.budgets")
def budgets() -> None:
    """Raises alerts where an error budget burns too fast, and ends those that are over."""
    watch_budgets(store=wiring.telemetry(), now=wiring.clock().now())

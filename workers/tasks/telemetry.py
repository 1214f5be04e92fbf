"""Scraping servers, keeping partitions."""

from __future__ import annotations

from celery import shared_task

from control_plane import wiring
from control_plane.fleet.scraping import scrape_servers


@shared_task(name="telemetry.scrape")
def scrape() -> None:
    """Stores one sample of every model of every server that answers."""
    scrape_servers(store=wiring.telemetry(), metrics_of=wiring.metrics_of, clock=wiring.clock())


@shared_task(name="telemetry.partitions")
def partitions() -> None:
    """Makes the days ahead, drops what is past retention."""
    wiring.telemetry().keep_partitions(wiring.clock().now().date())

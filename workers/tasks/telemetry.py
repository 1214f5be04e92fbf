"""Scraping servers, keeping partitions."""

from __future__ import annotations

from celery import shared_task

from control_plane import wiring
from control_plane.fleet.scraping import ask_for_scrapes, begin_scrape


@shared_task(name="telemetry.scrape")
def scrape() -> None:
    """Asks for a scrape of every server: workers share them, and none waits for another."""
    ask_for_scrapes(wiring.queue())


@shared_task(name="telemetry.scrape_server")
def scrape_server(*, server: str) -> None:
    """Begins a scrape of one server; a worker's thread does not wait for it."""
    begin_scrape(
        server, store=wiring.telemetry(), metrics_of=wiring.metrics_of, clock=wiring.clock()
    )


@shared_task(name="telemetry.partitions")
def partitions() -> None:
    """Makes the days ahead, drops what is past retention."""
    wiring.telemetry().keep_partitions(wiring.clock().now().date())

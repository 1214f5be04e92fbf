"""Looking at rollouts."""

from __future__ import annotations

from celery import shared_task

from control_plane import wiring
from control_plane.fleet.scraping import scrape_at_once
from control_plane.rollouts.advancing import Means, advance_all, due


@shared_task(name="rollouts.tick")
def tick() -> None:
    """Takes every rollout that is under way a step further; with none there is nothing to do."""
    clock = wiring.clock()
    rollout_ids = due(clock.now())
    if not rollout_ids:
        return
    store = wiring.telemetry()
    scrape_at_once(store=store, metrics_of=wiring.metrics_of, clock=clock)
    advance_all(rollout_ids, Means(clock, wiring.queue(), wiring.print_config, store))

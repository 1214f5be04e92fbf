"""Looking at rollouts."""

from __future__ import annotations

from celery import shared_task

from control_plane import wiring
from control_plane.endpoints.reconcile import reconcile
from control_plane.fleet.scraping import scrape_at_once
from control_plane.rollouts.advancing import Means, advance_all, due


@shared_task(name="rollouts.tick")
def tick() -> None:
    """Takes every rollout that is under way a step further; with none there is nothing to do.

    What a look moved is carried out at once: a way back waits for no further message.
    """
    clock, queue = wiring.clock(), wiring.queue()
    rollout_ids = due(clock.now())
    if not rollout_ids:
        return
    store = wiring.telemetry()
    scrape_at_once(store=store, metrics_of=wiring.metrics_of, clock=clock)
    means = Means(clock, queue, wiring.print_config, store)
    for endpoint_id in advance_all(rollout_ids, means):
        reconcile(
            endpoint_id=endpoint_id, clock=clock, queue=queue, print_config=wiring.print_config
        )

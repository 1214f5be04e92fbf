"""One scrape of every server's metrics into the telemetry store."""

from __future__ import annotations

import logging
from collections.abc import Callable

from control_plane.fleet.models import Server
from control_plane.ports.clock import Clock
from control_plane.ports.triton import TritonMetrics, TritonUnreachableError
from control_plane.telemetry.samples import rows
from control_plane.telemetry.store import TelemetryStore

logger = logging.getLogger(__name__)


def scrape_servers(
    *, store: TelemetryStore, metrics_of: Callable[[str], TritonMetrics], clock: Clock
) -> int:
    """Stores a sample of every model of every server that answers; returns how many did.

    A server that does not answer leaves a gap, which is what it is.
    """
    answered = 0
    for server in Server.objects.all():
        now = clock.now()
        try:
            samples = metrics_of(server.metrics).scrape()
        except TritonUnreachableError as error:
            logger.info("no sample of %s: %s", server.name, error)
            continue
        store.write(rows(samples, server.id, now))
        answered += 1
    return answered

"""One scrape of every server's metrics into the telemetry store."""

from __future__ import annotations

import logging
import math
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
            page = metrics_of(server.metrics).scrape()
            # A NaN, which the format allows, is no count of anything.
            scrape = rows((s for s in page if math.isfinite(s.value)), server.id, now)
        except TritonUnreachableError as error:
            logger.info("no sample of %s: %s", server.name, error)
            continue
        except Exception:  # a page that cannot be read, in whichever way, is that server's alone
            logger.exception("the metrics of %s cannot be read", server.name)
            continue
        store.write(scrape)
        answered += 1
    return answered

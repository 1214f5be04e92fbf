"""One scrape of every server's metrics into the telemetry store."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

from control_plane.fleet.models import Server
from control_plane.ports.clock import Clock
from control_plane.ports.triton import TritonMetrics, TritonUnreachableError
from control_plane.telemetry.samples import rows
from control_plane.telemetry.store import TelemetryStore

logger = logging.getLogger(__name__)

AT_ONCE = 8
PATIENCE_S = 1.0
"""How long a rollout's look waits for a server: one that is slow is looked at the next time."""


@dataclass(frozen=True)
class Scraping:
    """What a scrape needs of the world."""

    store: TelemetryStore
    metrics_of: Callable[[str], TritonMetrics]
    clock: Clock

    def scrape(self, server: Server) -> bool:
        """Stores a sample of every model of one server; False where it did not answer."""
        now = self.clock.now()
        try:
            page = self.metrics_of(server.metrics).scrape()
            # A NaN, which the format allows, is no count of anything.
            scrape = rows((s for s in page if math.isfinite(s.value)), server.id, now)
        except TritonUnreachableError as error:
            logger.info("no sample of %s: %s", server.name, error)
            return False
        except Exception:  # a page that cannot be read, in whichever way, is that server's alone
            logger.exception("the metrics of %s cannot be read", server.name)
            return False
        self.store.write(scrape)
        return True


def scrape_servers(
    *, store: TelemetryStore, metrics_of: Callable[[str], TritonMetrics], clock: Clock
) -> int:
    """Stores a sample of every model of every server that answers; returns how many did.

    A server that does not answer leaves a gap, which is what it is.
    """
    scraping = Scraping(store, metrics_of, clock)
    return sum(scraping.scrape(server) for server in Server.objects.all())


def scrape_at_once(
    *, store: TelemetryStore, metrics_of: Callable[[str], TritonMetrics], clock: Clock
) -> None:
    """The same for whoever cannot wait: all side by side, and for a second at most.

    What comes later is stored all the same.
    """
    scraping = Scraping(store, metrics_of, clock)
    servers = list(Server.objects.all())
    if not servers:
        return
    pool = ThreadPoolExecutor(min(AT_ONCE, len(servers)), thread_name_prefix="scrape")
    wait([pool.submit(scraping.scrape, server) for server in servers], PATIENCE_S)
    pool.shutdown(wait=False)

"""Scrapes of servers' metrics into the telemetry store, each server by itself."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from control_plane.fleet.models import Server
from control_plane.ports.clock import Clock
from control_plane.ports.queue import Queue
from control_plane.ports.triton import TritonMetrics, TritonUnreachableError
from control_plane.telemetry.samples import rows
from control_plane.telemetry.store import TelemetryStore

logger = logging.getLogger(__name__)

AT_ONCE = 32
"""Scrapes under way in a process: more than there are servers that hang at a time."""

PATIENCE_S = 1.0
"""How long a rollout's look waits for a server: one that is slow is looked at the next time."""


@dataclass(frozen=True)
class Scraping:
    """What a scrape needs of the world."""

    store: TelemetryStore
    metrics_of: Callable[[str], TritonMetrics]
    clock: Clock

    def scrape(self, server: Server) -> bool:
        """Stores a sample of every model of one server; False where that could not be done.

        Nobody waits for what it returns or raises: what is wrong is in the log.
        """
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
        try:
            self.store.write(scrape)
        except Exception:
            logger.exception("the metrics of %s cannot be stored", server.name)
            return False
        return True


class Scrapers:
    """The threads of this process that scrape: a server has one at most, however long it takes.

    So a server that hangs holds up neither the others nor whoever asks for scrapes.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="scrape")
        self._lock = threading.Lock()
        self._under_way: dict[UUID, Future[bool]] = {}

    def begin(self, scraping: Scraping, server: Server) -> Future[bool]:
        """Begins to scrape a server; where that is under way already, gives what is."""
        with self._lock:
            present = self._under_way.get(server.id)
            if present is not None and not present.done():
                return present
            begun = self._pool.submit(scraping.scrape, server)
            self._under_way[server.id] = begun
        return begun


@cache
def scrapers() -> Scrapers:
    """This process's."""
    return Scrapers()


def ask_for_scrapes(queue: Queue) -> int:
    """Asks for a scrape of every server, each a message of its own; returns how many there are."""
    names = list(Server.objects.values_list("name", flat=True))
    for name in names:
        queue.scrape(server=name)
    return len(names)


def begin_scrape(
    name: str,
    *,
    store: TelemetryStore,
    metrics_of: Callable[[str], TritonMetrics],
    clock: Clock,
) -> Future[bool] | None:
    """Begins to store a sample of every model of one server, and does not wait for it.

    A server that does not answer leaves a gap, which is what it is. None: it was removed.
    """
    server = Server.objects.filter(name=name).first()
    if server is None:
        return None
    return scrapers().begin(Scraping(store, metrics_of, clock), server)


def scrape_at_once(
    *, store: TelemetryStore, metrics_of: Callable[[str], TritonMetrics], clock: Clock
) -> None:
    """All side by side, for a rollout's look, which cannot wait: for a second at most.

    What comes later is stored all the same.
    """
    scraping = Scraping(store, metrics_of, clock)
    wait([scrapers().begin(scraping, server) for server in Server.objects.all()], PATIENCE_S)

"""Counting what callers ask, in all processes together, and saying when it is too much."""

from __future__ import annotations

import ipaddress
import logging
import math
import time
from functools import cache

from django.conf import settings
from django.http import HttpRequest
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter

logger = logging.getLogger(__name__)

AWAY_S = 5.0
"""After the store failed it is left alone for so long: no call waits for it meanwhile."""

_TIMEOUT_S = 0.25


class Throttle:
    """The limits over one store.

    While the store does not answer, each process counts by itself: nobody is stopped by that, and
    passwords cannot be tried without end while it lasts.
    """

    def __init__(self, store: str) -> None:
        quick = {"socket_timeout": _TIMEOUT_S, "socket_connect_timeout": _TIMEOUT_S}
        options = {} if store.startswith("memory") else quick
        storage = storage_from_string(store, wrap_exceptions=True, **options)
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._alone = SlidingWindowCounterRateLimiter(storage_from_string("memory://"))
        self._away_until = 0.0

    def count(self, limit: str, who: str) -> int | None:
        """Counts one; None, or for how many seconds `who` is to wait if it is one too many."""
        return self._asked(limit, who, counting=True)

    def refused(self, limit: str, who: str) -> int | None:
        """The same without counting."""
        return self._asked(limit, who, counting=False)

    def _asked(self, limit: str, who: str, *, counting: bool) -> int | None:
        said = settings.NEREID_THROTTLES.get(limit)
        if said is None:
            return None
        asked = (parse(said), limit, who)
        if time.monotonic() >= self._away_until:
            try:
                return _wait(self._limiter, asked, counting=counting)
            except StorageError as error:
                self._away_until = time.monotonic() + AWAY_S
                logger.warning("throttling counts by process for %.0f s: %s", AWAY_S, error)
        return _wait(self._alone, asked, counting=counting)


def _wait(
    limiter: SlidingWindowCounterRateLimiter,
    asked: tuple[RateLimitItem, str, str],
    *,
    counting: bool,
) -> int | None:
    ask = limiter.hit if counting else limiter.test
    if ask(*asked):
        return None
    return max(1, math.ceil(limiter.get_window_stats(*asked).reset_time - time.time()))


@cache
def throttle() -> Throttle:
    """This process's, over the store that all share."""
    return Throttle(settings.NEREID_THROTTLE_STORE)


def caller_address(request: HttpRequest) -> str:
    """The caller's address as far as it is known, behind the proxies that are trusted."""
    text: str = request.META.get("REMOTE_ADDR", "")
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    if (proxies := settings.NEREID_TRUSTED_PROXIES) and forwarded:
        # Each proxy adds to the right: what stands further left, a caller can have made up.
        hops = [hop.strip() for hop in forwarded.split(",")]
        text = hops[-min(proxies, len(hops))]
    return text[:64]


def address_of(request: HttpRequest) -> str:
    """The address that counts: of IPv6 the network, for one caller has billions of addresses."""
    text = caller_address(request)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)

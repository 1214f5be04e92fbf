"""`ports.receivers.Receivers` over httpcore, kept from what only this server can reach.

Connections are those of `guarded_network`. httpcore follows no redirects and knows no proxies of
the environment.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import httpcore

from control_plane.adapters.guarded_network import (
    CONNECT_S,
    GuardedNetwork,
    RefusedAddressError,
    system_words,
)
from control_plane.domain.webhooks.addresses import Allowed
from control_plane.ports.receivers import NotSentError, Reply

TIMEOUT_S = 10.0
"""From the first byte to the last: a receiver stores what it gets and answers; it works later."""

EXCERPT_BYTES = 1024
"""How much of an answer is kept: enough for the first lines of an error."""


class HttpReceivers:
    """Each POST has a connection of its own: nothing of one receiver is left to the next."""

    def __init__(self, allowed: Allowed, *, timeout_s: float = TIMEOUT_S) -> None:
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context()

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        deadline = time.monotonic() + self._timeout_s
        guarded = GuardedNetwork(self._allowed, deadline)
        try:
            with httpcore.ConnectionPool(
                ssl_context=self._tls, network_backend=guarded, retries=0
            ) as pool:
                return self._ask(pool, url, headers, body)
        except RefusedAddressError as error:
            raise NotSentError(str(error)) from None
        except httpcore.ConnectTimeout:
            raise NotSentError(f"no connection within {CONNECT_S:g} s") from None
        except httpcore.TimeoutException:
            detail = f"no whole answer within {self._timeout_s:g} s"
            raise NotSentError(detail) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError, ValueError) as error:
            raise NotSentError(system_words(error)) from None

    def _ask(
        self, pool: httpcore.ConnectionPool, url: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        waits = {"connect": CONNECT_S, "read": self._timeout_s, "write": self._timeout_s}
        parts = urlsplit(url)
        # Taken apart here: given as text, httpcore leaves out what follows a `;` in the path.
        asked = httpcore.URL(
            scheme=parts.scheme,
            host=parts.hostname or "",
            port=parts.port,
            target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        )
        with pool.stream(
            "POST",
            asked,
            headers=[("Host", parts.netloc), *headers.items()],
            content=body,
            extensions={"timeout": waits},
        ) as response:
            found = {name.lower(): value for name, value in response.headers}
            retry_after = found.get(b"retry-after", b"").decode("ascii", "replace")
            return Reply(response.status, retry_after or None, _excerpt(response.iter_stream()))


def _excerpt(chunks: Iterable[bytes]) -> str:
    """The first bytes as text that the database can hold; the rest is not read.

    What the answer means, its status has said: a body that breaks off changes nothing.
    """
    kept = b""
    with suppress(httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        for chunk in chunks:
            kept += chunk
            if len(kept) >= EXCERPT_BYTES:
                break
    return (
        kept[:EXCERPT_BYTES].decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    )

"""`ports.receivers.Receivers` over httpcore, kept from what only this server can reach.

The name is resolved here, once, and what was checked is what is connected to: a second look-up
could give another address (DNS rebinding). TLS still checks the certificate against the name.
httpcore follows no redirects and knows no proxies of the environment.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpcore

from control_plane.domain.webhooks.addresses import Allowed, first_refusal
from control_plane.ports.receivers import NotSentError, Reply

TIMEOUT_S = 10.0
"""From the first byte to the last: a receiver stores what it gets and answers; it works later."""

CONNECT_S = 5.0
EXCERPT_BYTES = 1024
"""How much of an answer is kept: enough for the first lines of an error."""

_PIECE = 4096


class RefusedAddressError(httpcore.ConnectError):
    """The host resolves to what must not be connected to."""


class HttpReceivers:
    """Each POST has a connection of its own: nothing of one receiver is left to the next."""

    def __init__(self, allowed: Allowed, *, timeout_s: float = TIMEOUT_S) -> None:
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context()

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        deadline = time.monotonic() + self._timeout_s
        guarded = _Guarded(self._allowed, deadline)
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
            raise NotSentError(_words(error)) from None

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


class _Guarded(httpcore.NetworkBackend):
    """Connects to allowed addresses alone, and lets nothing last beyond the deadline."""

    def __init__(self, allowed: Allowed, deadline: float) -> None:
        self._allowed = allowed
        self._deadline = deadline
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _resolve(host, port)
        # One that is refused refuses all: an honest public name has none of those.
        if refusal := first_refusal(host, addresses, self._allowed):
            raise RefusedAddressError(refusal)
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                stream = self._plain.connect_tcp(
                    address, port, _left(self._deadline, timeout), None, socket_options
                )
                return _Bounded(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def connect_unix_socket(self, path: str, *args: Any, **options: Any) -> httpcore.NetworkStream:
        raise RefusedAddressError(f"{path} is no receiver")

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, _left(self._deadline, None)))


class _Bounded(httpcore.NetworkStream):
    """A stream whose reads and writes together end by the deadline, however slowly bytes drip."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In pieces: one long write has its whole time anew whenever a few bytes are taken.
        for start in range(0, len(buffer), _PIECE):
            self._stream.write(buffer[start : start + _PIECE], _left(self._deadline, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(self._deadline, timeout)
        return _Bounded(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float, timeout: float | None) -> float:
    """Seconds that a step may take.

    Raises:
        httpcore.ReadTimeout: none are left.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left if timeout is None else min(left, timeout)


def _resolve(host: str, port: int) -> list[str]:
    """The host's addresses in the system's order, each once."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"{host} is not known: {_words(error)}") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


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


def _words(error: Exception) -> str:
    """The system's own words, without its number."""
    text = str(getattr(error, "strerror", None) or error)
    cause = error.__cause__ or error.__context__
    if not text and cause is not None:
        text = str(cause)
    return text.partition("] ")[2] if text.startswith("[Errno") else text or type(error).__name__

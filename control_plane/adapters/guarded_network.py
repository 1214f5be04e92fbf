"""Connections that only what an operator allowed is reached by, and that come to an end.

The name is resolved here, once, and what was checked is what is connected to: a second look-up
could give another address (DNS rebinding). TLS still checks the certificate against the name.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from control_plane.domain.webhooks.addresses import Allowed, first_refusal

CONNECT_S = 5.0
_PIECE = 4096


class RefusedAddressError(httpcore.ConnectError):
    """The host resolves to what must not be connected to."""


class GuardedNetwork(httpcore.NetworkBackend):
    """Connects to allowed addresses alone, and lets nothing last beyond the deadline.

    The deadline is a moment of `time.monotonic`.
    """

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
        raise RefusedAddressError(f"{path} is no address")

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
        raise httpcore.ConnectError(f"{host} is not known: {system_words(error)}") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def system_words(error: Exception) -> str:
    """The system's own words, without its number."""
    text = str(getattr(error, "strerror", None) or error)
    cause = error.__cause__ or error.__context__
    if not text and cause is not None:
        text = str(cause)
    return text.partition("] ")[2] if text.startswith("[Errno") else text or type(error).__name__

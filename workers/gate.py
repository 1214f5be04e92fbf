"""The door of a node that balancers knock at: `/ready` and `/live`, over HTTP.

It tells nothing that a caller of Triton does not know, and opens nothing.
"""

from __future__ import annotations

import io
import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from control_plane.domain.planning.readiness import Verdict

logger = logging.getLogger(__name__)

PATIENCE_S = 5.0
"""A caller whose request is not whole so long after it called is hung up on."""

AT_ONCE = 32
RETRY_S = 2.0


class GateServer(ThreadingHTTPServer):
    """Answers with what `verdict` says; so many callers at once, others are hung up on."""

    daemon_threads = True
    request_queue_size = AT_ONCE

    def __init__(self, host: str, port: int, verdict: Callable[[], Verdict], name: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.verdict = verdict
        self.node = name
        self._places = threading.BoundedSemaphore(AT_ONCE)
        super().__init__((host, port), _Answer)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("the gate's caller went away", exc_info=True)


class _Timely(io.RawIOBase):
    """What a caller sends, until a moment of `time.monotonic`: a byte now and then buys no more."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection = connection
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Answer(BaseHTTPRequestHandler):
    """One answer to a connection: there are few places, and balancers come back by themselves."""

    server: GateServer
    protocol_version = "HTTP/1.1"
    server_version = "nereid"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        until = time.monotonic() + PATIENCE_S
        self.rfile = io.BufferedReader(_Timely(self.connection, until))

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].rstrip("/")
        if path == "/live":
            self._say(HTTPStatus.OK, {"live": True, "server": self.server.node})
        elif path == "/ready":
            verdict = self.server.verdict()
            status = HTTPStatus.OK if verdict.ready else HTTPStatus.SERVICE_UNAVAILABLE
            said = {"ready": verdict.ready, "server": self.server.node, "reason": verdict.reason}
            self._say(status, said)
        else:
            self._say(HTTPStatus.NOT_FOUND, {"reason": "there is /ready and /live"})

    def do_HEAD(self) -> None:
        self.do_GET()

    def _say(self, status: HTTPStatus, said: dict[str, Any]) -> None:
        self.connection.settimeout(PATIENCE_S)
        body = json.dumps(said).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *values: Any) -> None:
        logger.debug(format, *values)


def keep_open(
    host: str, port: int, verdict: Callable[[], Verdict], name: str, stopping: threading.Event
) -> None:
    """Answers until stopped. A port that is taken is tried again: the node serves meanwhile."""
    while not stopping.is_set():
        try:
            server = GateServer(host, port, verdict, name)
        except OSError as error:
            logger.error("no gate at %s:%s: %s; trying again", host, port, error)
            stopping.wait(RETRY_S)
            continue
        threading.Thread(target=_close_when, args=(stopping, server), daemon=True).start()
        with server:
            server.serve_forever(poll_interval=0.5)


def _close_when(stopping: threading.Event, server: GateServer) -> None:
    stopping.wait()
    server.shutdown()

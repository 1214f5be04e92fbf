"""Servers behind the real Envoy that do as they are told, and an Envoy in front of them."""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from control_plane.adapters.edge.addresses import Addresses
from control_plane.adapters.edge.files import descriptors, write_files
from control_plane.domain.edge.files import DESCRIPTORS, edge_files
from control_plane.domain.edge.fleet import EdgeFleet, KnownServer
from control_plane.domain.edge.options import EdgeOptions
from stack import edge
from stack.ports import free_port
from tests.support.processes import eventually


class Upstream(ThreadingHTTPServer):
    """Stands for a server of that name and its gate; `shown` has the headers of the last request.

    It takes so long, and answers with a status or breaks off.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.name = name
        self.is_ready, self.breaks_off = True, False
        self.status, self.takes_s = 200, 0.0
        self.asked = 0
        self.shown: Mapping[str, str] = {}

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def known(self) -> KnownServer:
        address = f"127.0.0.1:{self.server_port}"
        return KnownServer(self.name, address, address, address)


class _Answering(BaseHTTPRequestHandler):
    server: Upstream

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path == "/ready":
            self._answer(200 if self.server.is_ready else 503)
            return
        self.server.asked += 1
        self.server.shown = dict(self.headers.items())
        time.sleep(self.server.takes_s)
        if self.server.breaks_off:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._answer(self.server.status)

    def do_POST(self) -> None:
        self.do_GET()

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.send_header("was-shown", self.headers.get("authorization", ""))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def fleet_of(*upstreams: Upstream) -> EdgeFleet:
    """The fleet that they are."""
    return Addresses().fleet([one.known for one in upstreams])


def write(options: EdgeOptions, fleet: EdgeFleet) -> None:
    """As the edge's writer does."""
    files = {name: text.encode() for name, text in edge_files(options, fleet).items()}
    write_files(Path(options.folder), {DESCRIPTORS: descriptors(), **files})


@contextmanager
def started(
    envoy: Path, fleet: EdgeFleet, folder: Path, **environment: str
) -> Iterator[edge.StackEdge]:
    """The edge that the environment asks for; ended in the end."""
    ports = {name: str(free_port()) for name in edge.PORTS.values()}
    own = edge.edge_of({**environment, **ports}, folder, "127.0.0.1")
    own = own.settled("127.0.0.1", set(), folder / "run")
    write(own.options, fleet)
    process = subprocess.Popen(edge.command(own, envoy), stderr=subprocess.DEVNULL)
    try:
        yield own
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def running(
    envoy: Path, fleet: EdgeFleet, folder: Path, **environment: str
) -> Iterator[edge.StackEdge]:
    """The same, ready."""
    names = {server.name for server in fleet.servers}
    with started(envoy, fleet, folder, **environment) as own:
        assert eventually(lambda: edge.is_live(own) and edge.healthy(own) == names, 30)
        yield own


def ask(
    own: edge.StackEdge,
    path: str = "/v2/models/digits",
    *,
    body: bytes = b"",
    context: ssl.SSLContext | None = None,
    **headers: str,
) -> http.client.HTTPResponse:
    """One request through it; its answer was read."""
    port = own.options.http_port
    kind = http.client.HTTPSConnection if context else http.client.HTTPConnection
    extra: dict[str, Any] = {"context": context} if context else {}
    connection = kind("127.0.0.1", port, timeout=20, **extra)
    connection.request("POST" if body else "GET", path, body, headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response

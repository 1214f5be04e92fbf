"""A page of metrics that comes drop by drop is given up, however alive the connection is."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from control_plane.adapters.triton.metrics import HttpTritonMetrics
from control_plane.ports.triton import TritonUnreachableError

MOST_DROPS = 200
"""Ten seconds of them: whoever takes the whole page has no deadline."""


class Dripping(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        pause = threading.Event()
        for _ in range(MOST_DROPS):
            try:
                self.wfile.write(b"a_total 1\n")
                self.wfile.flush()
            except OSError:
                return
            pause.wait(0.05)

    def log_message(self, *_: object) -> None:
        pass


def test_a_page_that_drips_is_given_up() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Dripping) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        metrics = HttpTritonMetrics(f"http://127.0.0.1:{server.server_port}/metrics", timeout_s=0.2)
        try:
            with pytest.raises(TritonUnreachableError, match="not whole after"):
                metrics.scrape()
        finally:
            metrics.close()
            server.shutdown()

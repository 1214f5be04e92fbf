"""A Prometheus in memory that knows answers by their query, and a real one as a child."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from control_plane.adapters.prometheus import HttpPrometheus
from control_plane.ports.prometheus import NotAnsweredError, Series
from stack.ports import free_port
from tests.support.processes import eventually

INSTALLED = shutil.which("prometheus") is not None
PATIENCE_S = 60.0

_PART = re.compile(r'label_replace\(\(\n(.*?)\n\), "([^"]+)", "([^"]+)", "", ""\)', re.DOTALL)


class FakePrometheus:
    """Answers the queries that it was told of; of others it finds nothing.

    It takes the parts of a union by `label_replace` apart, as they are asked of the real one.
    """

    def __init__(self) -> None:
        self.values: dict[str, list[Series]] = {}
        self.refusal = ""
        self.asked: list[tuple[str, datetime]] = []

    def says(self, query: str, value: float, **labels: str) -> None:
        """A series that a query finds, instead of the one of the same labels."""
        others = [one for one in self.values.get(query, []) if one.labels != labels]
        self.values[query] = [*others, Series(labels, value)]

    def refuses(self, why: str) -> None:
        self.refusal = why

    def ask(self, query: str, at: datetime) -> Sequence[Series]:
        self.asked.append((query, at))
        if self.refusal:
            raise NotAnsweredError(self.refusal)
        parts = _PART.findall(query)
        if not parts:
            return list(self.values.get(query, ()))
        return [
            Series({**one.labels, label: part}, one.value)
            for inner, label, part in parts
            for one in self.values.get(inner, ())
        ]


class RealPrometheus:
    """`prometheus`, scraping a page of metrics of ours every second: `page`, or what was shown."""

    def __init__(self, url: str, page: Callable[[], Mapping[str, float]] | None = None) -> None:
        self.url = url
        self._shown: Mapping[str, float] = {}
        self._page = page or (lambda: self._shown)
        self._client = HttpPrometheus(url)

    @property
    def text(self) -> str:
        """The page as it is scraped now."""
        return "".join(f"{name} {value}\n" for name, value in self._page().items())

    def shows(self, metrics: Mapping[str, float]) -> None:
        """Puts these on the page, and waits until they were scraped."""
        self._shown = metrics
        assert eventually(lambda: self._scraped(metrics), PATIENCE_S)

    def _scraped(self, metrics: Mapping[str, float]) -> bool:
        for name, value in metrics.items():
            try:
                found = self._client.ask(name, datetime.now(UTC))
            except NotAnsweredError:
                return False
            if [one.value for one in found] != [value]:
                return False
        return True


@contextmanager
def prometheus_running(
    home: Path, *, port: int = 0, page: Callable[[], Mapping[str, float]] | None = None
) -> Iterator[RealPrometheus]:
    """A real Prometheus with its data in a folder, at a port of 127.0.0.1; 0: one that is free."""
    port = port or free_port()
    real = RealPrometheus(f"http://127.0.0.1:{port}", page)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = real.text.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    config = home / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: shop\n  static_configs:\n"
        f"  - targets: ['127.0.0.1:{server.server_address[1]}']\n"
    )
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={home / 'data'}"),
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield real
    finally:
        process.kill()
        process.wait(30)
        server.shutdown()
        server.server_close()

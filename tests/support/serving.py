"""A whole stack in a folder of its own, on free ports."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

from control_plane.adapters.triton.metrics import HttpTritonMetrics
from control_plane.ports.triton import Sample
from stack.ports import free_port

CHECKOUT = Path(__file__).resolve().parents[2]
PORTS = (
    "NEREID_HTTP_PORT",
    "NEREID_TRITON_HTTP_PORT",
    "NEREID_TRITON_GRPC_PORT",
    "NEREID_TRITON_METRICS_PORT",
    "NEREID_NODE_PORT",
    "NEREID_EDGE_HTTP_PORT",
    "NEREID_EDGE_GRPC_PORT",
)


class ServingStack:
    """`python -m stack serve` as a child; `.stack` is what its stack.json says."""

    def __init__(
        self,
        home: Path,
        *,
        sample: bool = True,
        servers: int = 1,
        edge: bool = False,
        variables: Mapping[str, str] | None = None,
        checkout: Path = CHECKOUT,
    ) -> None:
        self.home = home
        self._checkout = checkout
        self.log = home.with_name(f"{home.name}.log")
        self._sample = sample
        self._servers = servers
        self._edge = edge
        self.variables = dict(variables or {})
        self._ports = {name: str(free_port()) for name in PORTS}
        # Whoever tests metrics of PromQL starts a Prometheus there; for all others it is away.
        self.prometheus_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to find this stack."""
        kept = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith("NEREID_") and k not in ("DATABASE_URL", "CELERY_BROKER_URL")
        }
        own = {
            "NEREID_HOME": str(self.home),
            "NEREID_WEBHOOK_ALLOW": "127.0.0.1",
            "NEREID_SERVERS": str(self._servers),
            "NEREID_EDGE": "1" if self._edge else "",
            "NEREID_PROMETHEUS_URL": f"http://127.0.0.1:{self.prometheus_port}",
        }
        return {**kept, **self._ports, **own, "NO_COLOR": "1", **self.variables}

    @property
    def stack(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.home / "stack.json").read_text())
        return document

    @property
    def api(self) -> str:
        return str(self.stack["api"])

    @property
    def token(self) -> str:
        return str(self.stack["token"])

    @property
    def pids(self) -> dict[str, int]:
        pids: dict[str, int] = self.stack["pids"]
        return pids

    @property
    def servers(self) -> dict[str, dict[str, Any]]:
        """What it says of its servers, by their names."""
        return {server["name"]: server for server in self.stack["servers"]}

    @property
    def edge(self) -> dict[str, str]:
        """Where the proxy in front of its servers answers: `http` as a URL, `grpc` as host:port."""
        addresses: dict[str, str] = self.stack["edge"]
        return addresses

    def client(self) -> httpx.Client:
        """An HTTP client that is logged in."""
        return httpx.Client(
            base_url=f"{self.api}/api/v1",
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
            trust_env=False,
        )

    def start(self, patience_s: float = 240.0) -> float:
        """Starts it and waits until it says that it is ready; returns the seconds it took."""
        command = [sys.executable, "-m", "stack", "serve"]
        if not self._sample:
            command.append("--no-sample")
        began = time.monotonic()
        printed_before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._checkout,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        process = self._process

        def settled() -> bool:
            printed = self.log.read_bytes()[printed_before:]
            return b"Ctrl-C stops" in printed or process.poll() is not None

        self.wait_for(settled, patience_s, "the stack to be ready")
        if process.poll() is not None:
            raise RuntimeError(f"the stack ended with {process.returncode}:\n{self.tail()}")
        return time.monotonic() - began

    def stop(self, patience_s: float = 60.0) -> None:
        """Ctrl-C, and everything of it has to be gone."""
        process = self._process
        if process is None:
            return
        left = self.processes()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill_everything()
            raise
        self._process = None
        _, alive = psutil.wait_procs(left, timeout=10)
        if alive:
            raise RuntimeError(f"left behind after a stop: {alive}")

    def command(self, *arguments: str) -> str:
        """What `python -m stack …` prints.

        Raises:
            RuntimeError: it fails.
        """
        done = subprocess.run(
            [sys.executable, "-m", "stack", *arguments],
            cwd=self._checkout,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def kill_everything(self) -> None:
        """`kill -9` of every process of this stack at once."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self._process is not None:
            self._process.wait()
            self._process = None

    def processes(self) -> list[psutil.Process]:
        """The supervisor and all its descendants."""
        if self._process is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            supervisor = psutil.Process(self._process.pid)
            return [supervisor, *supervisor.children(recursive=True)]
        return []

    def tail(self, characters: int = 4000) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-characters:]

    @staticmethod
    def wait_for(condition: Any, patience_s: float, what: str) -> None:
        """Waits until a condition holds.

        Raises:
            TimeoutError: it does not within the given time.
        """
        deadline = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {patience_s:.0f} s for {what}")
            time.sleep(0.05)


def samples(stack: ServingStack) -> Sequence[Sample]:
    """Triton's metrics at this moment."""
    with contextlib.closing(HttpTritonMetrics(stack.stack["triton"]["metrics"])) as metrics:
        return metrics.scrape()

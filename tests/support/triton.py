"""A real Triton on free ports for a test, started as the stack starts it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient
from tritonclient.utils import np_to_triton_dtype

from backends.build import build
from control_plane.adapters.triton.control import ApiTritonControl
from control_plane.ports.triton import TritonError
from stack import triton
from stack.ports import free_port

CONTROL_KEY = "test-control-key"
SHM_KEY = "test-shm-key"


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now, all different, and none that the system hands to clients."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)


def tensor(name: str, value: np.ndarray, kind: Any = grpcclient) -> Any:
    """An input of `kind`, a client's module, with the type and shape that the array has."""
    given = kind.InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))
    given.set_data_from_numpy(value)
    return given


def eventually(holds: Callable[[], Any], *, within_s: float = 10.0, what: str = "") -> Any:
    """The first true answer of `holds`; fails the test when there is none in time."""
    deadline = time.monotonic() + within_s
    while True:
        answer = holds()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what or holds}")
        time.sleep(0.02)


@dataclass
class RunningTriton:
    """A server that runs: its addresses, its repository, and the verbs a test needs."""

    options: triton.TritonOptions
    process: subprocess.Popen[bytes]
    log: Path
    _open: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self._door = ApiTritonControl(
            self.options.http, self.options.grpc, CONTROL_KEY, timeout_s=120
        )
        self._open.callback(self._door.close)

    @property
    def repository(self) -> Path:
        return self.options.repository

    @property
    def control(self) -> dict[str, dict[str, str]]:
        return triton.control_headers(CONTROL_KEY)

    @property
    def shm(self) -> dict[str, dict[str, str]]:
        return triton.shm_headers(SHM_KEY)

    def http_client(self, **options: Any) -> httpclient.InferenceServerClient:
        client = httpclient.InferenceServerClient(self.options.http, **options)
        self._open.callback(client.close)
        return client

    def grpc_client(self) -> grpcclient.InferenceServerClient:
        client = grpcclient.InferenceServerClient(self.options.grpc)
        self._open.callback(client.close)
        return client

    def call(
        self, path: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """A plain HTTP call as curl makes it: status, and the JSON (or text) of the answer."""
        request = urllib.request.Request(
            f"http://{self.options.http}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers=headers or {},
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read().decode()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def load(self, model: str) -> None:
        with _told_apart():
            self._door.load(model)

    def unload(self, model: str) -> None:
        with _told_apart():
            self._door.unload(model)

    def metrics(self) -> dict[str, float]:
        """Every sample on /metrics, by its name and labels as they stand there."""
        with urllib.request.urlopen(self.options.metrics_url, timeout=30) as answer:  # noqa: S310
            text = answer.read().decode()
        lines = (line for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of `name` that carry these labels; 0 when there is none."""
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        return sum(
            value
            for sample, value in self.metrics().items()
            if sample.partition("{")[0] == name
            and wanted <= set(re.findall(r'\w+="[^"]*"', sample))
        )

    def close_clients(self) -> None:
        self._open.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def _told_apart() -> Iterator[None]:
    """What Triton refuses is no matter of the adapter's here, but of the model."""
    try:
        yield
    except TritonError as error:
        raise RuntimeError(str(error)) from error


@contextmanager
def running_triton(name: str = "test", **changes: Any) -> Iterator[RunningTriton]:
    """Start a server with a home of its own; stop it and remove everything afterwards."""
    build(verbose=False)
    with tempfile.TemporaryDirectory(prefix="nereid-triton-") as folder:
        home = Path(folder)
        http, grpc, metrics = free_ports(3)
        # The name goes into the shared-memory prefix: parallel tests must not meet there.
        options = triton.TritonOptions(
            node_home=home / "node",
            repository=home / "repository",
            name=f"{name}_{http}",
            http_port=http,
            grpc_port=grpc,
            metrics_port=metrics,
            control_key=CONTROL_KEY,
            shm_key=SHM_KEY,
            **changes,
        )
        triton.prepare(options)
        log = home / "triton.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                triton.command(options),
                env=triton.environment(options),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        server = RunningTriton(options, process, log)
        try:
            triton.wait_ready(options, alive=lambda: process.poll() is None)
            yield server
        finally:
            server.close_clients()
            if process.poll() not in (
                None,
                -signal.SIGKILL,
            ):  # what a test killed it killed on purpose
                print(f"Triton ended with {process.returncode}:\n{log.read_text()[-4000:]}")
            _stop(process)
            triton.clean_leftovers(options.name)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

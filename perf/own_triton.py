"""A Triton of the benchmark's own, with models whose cost is known and routers in front of them."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from backends.build import Target, build
from stack import triton

NATIVE = Path(__file__).resolve().parent / "native"
BLS_MODEL = Path(__file__).resolve().parent / "bls_router" / "model.py"
CONTROL_KEY = "benchmark"
PRIMARY_VERSION = 1_000_000_000

SIGNATURE = """max_batch_size: 8
input [{ name: "x" data_type: TYPE_UINT8 dims: [-1] }]
output [{ name: "y" data_type: TYPE_UINT8 dims: [-1] }]
"""


@dataclass(frozen=True)
class OwnTriton:
    """A running server and the verbs to fill its repository."""

    options: triton.TritonOptions
    pid: int

    def load(self, model: str) -> None:
        """Loads or reloads a model; raises urllib.error.HTTPError when Triton refuses it."""
        self._control(model, "load")

    def unload(self, model: str) -> None:
        """Takes a model out of memory; Triton does so in its own time."""
        self._control(model, "unload")

    def _control(self, model: str, verb: str) -> None:
        headers = triton.control_headers(CONTROL_KEY)["http"]
        request = urllib.request.Request(
            f"http://{self.options.http}/v2/repository/models/{model}/{verb}",
            data=b"{}",
            headers={**headers, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120):  # noqa: S310 - our own http address
            pass

    def identity(
        self, name: str, *, busy_us: int = 0, config: str = "", signature: str = SIGNATURE
    ) -> None:
        """A native model that gives its input back after `busy_us` of processor time."""
        library = build(
            Target("libtriton_identity.so", (str(NATIVE / "identity.cc"),)), verbose=False
        )
        busy = f'parameters {{ key: "busy_us" value {{ string_value: "{busy_us}" }} }}\n'
        folder = self._model(name, "identity", signature + busy + config)
        shutil.copy(library, folder / library.name)
        (folder / "1").mkdir()
        self.load(name)

    def file_model(self, name: str, config: str) -> Path:
        """The version folder of a model that is not loaded yet: its file goes there."""
        folder = self.options.repository / name
        (folder / "1").mkdir(parents=True)
        (folder / "config.pbtxt").write_text(config)
        return folder / "1"

    def router(
        self, name: str, policy: str, config: str = "", *, signature: str = SIGNATURE
    ) -> None:
        """A router whose policy.txt has these lines after the first three."""
        folder = self._model(name, "traffic", signature + config) / str(PRIMARY_VERSION)
        folder.mkdir()
        head = f"nereid-traffic 1\nendpoint {name}\ngeneration 1\n"
        (folder / "policy.txt").write_text(head + policy)
        self.load(name)

    def bls_router(self, name: str, arm: str) -> None:
        """The same route as a Python model with BLS."""
        arms = f'parameters {{ key: "arms" value {{ string_value: "{arm}=1" }} }}\n'
        folder = self._model(name, "python", SIGNATURE + arms)
        (folder / "1").mkdir()
        shutil.copy(BLS_MODEL, folder / "1" / "model.py")
        self.load(name)

    def _model(self, name: str, backend: str, config: str) -> Path:
        folder = self.options.repository / name
        folder.mkdir(parents=True)
        (folder / "config.pbtxt").write_text(
            f'backend: "{backend}"\ninstance_group [{{ kind: KIND_CPU count: 1 }}]\n{config}'
        )
        return folder


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def own_triton(*, keys: bool = True) -> Iterator[OwnTriton]:
    """Starts a server on free ports; stops it and removes everything afterwards.

    Without `keys` anybody on this machine may load models, as programs that know of no key need.
    """
    build(verbose=False)
    http, grpc, metrics = free_ports(3)
    with tempfile.TemporaryDirectory(prefix="nereid-perf-") as folder:
        options = triton.TritonOptions(
            node_home=Path(folder) / "node",
            repository=Path(folder) / "repository",
            name=f"perf_{http}",
            http_port=http,
            grpc_port=grpc,
            metrics_port=metrics,
            control_key=CONTROL_KEY,
            shm_key=CONTROL_KEY,
        )
        triton.prepare(options)
        with (Path(folder) / "triton.log").open("wb") as log:
            process = subprocess.Popen(
                [word for word in triton.command(options) if keys or "-restricted-" not in word],
                env=triton.environment(options),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                triton.wait_ready(options, alive=lambda: process.poll() is None)
                yield OwnTriton(options, process.pid)
            finally:
                process.terminate()
                try:
                    process.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                triton.clean_leftovers(options.name)

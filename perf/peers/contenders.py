"""Who serves the network, each as its own documentation would have it for speed.

Every one has the same ONNX Runtime with the same number of threads, batches of at most `BATCH`
rows, and the two cores of the machine; the settings beyond that are those that were found best for
each by trying (the callers wait for their answers, so waiting long for a batch only costs).
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from rich.console import Console

from perf.own_triton import OwnTriton, free_ports, own_triton
from perf.peers.environments import environment, version
from perf.peers.load import Asked
from perf.peers.networks import CLASSES, Network

BATCH = 32
READY_S = 120
TOLERANCE = 1e-3
"""JSON of some peers has fewer digits than a float32."""

SERVERS = Path(__file__).resolve().parent / "servers"
JSON = {"Content-Type": "application/json"}


class Contender(ABC):
    """Something that is asked, and measured by how soon it answers."""

    name: str
    processes: tuple[psutil.Process, ...] = ()
    restless = False
    """Whether it takes more of a core than 0.3 % with nobody asking anything."""

    def rest(self) -> None:
        """Keeps off the cores while another is measured: where it would not, it is held."""
        for process in _family(self.processes) if self.restless else ():
            process.suspend()

    def wake(self) -> None:
        """Ends the rest."""
        for process in _family(self.processes) if self.restless else ():
            process.resume()

    @property
    @abstractmethod
    def asked(self) -> Asked:
        """The request by which it is measured."""

    @abstractmethod
    def prove(self, expected: np.ndarray) -> None:
        """Raises AssertionError where its answer is not what it should be."""

    def memory_mib(self) -> float:
        """The memory of all its processes, what they share counted once (PSS)."""
        return sum(_pss(process) for process in _family(self.processes)) / 2**20


class Served(Contender):
    """A server that answers for one network: it is right where it says what the network does."""

    @abstractmethod
    def answered(self, body: bytes, headers: Any) -> np.ndarray:
        """The row of `y` in an answer."""

    def prove(self, expected: np.ndarray) -> None:
        found = self.answered(*self.asked.once())
        if not np.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE):
            raise AssertionError(f"{self.name} answers {found}, and the network {expected}")


class Nereid(Served):
    """An endpoint of a Triton: its router in front of the version, by our onnxruntime backend."""

    def __init__(self, server: OwnTriton, network: Network, *, binary: bool, routed: bool) -> None:
        self._network = network
        self._binary = binary
        self._called = network.name if routed else f"{network.name}.v1"
        self._http = server.options.http
        self.processes = (psutil.Process(server.pid),)
        wire = "binary tensors" if binary else "JSON"
        self.name = f"Nereid, {wire}" if routed else f"the version itself, {wire}"

    @property
    def asked(self) -> Asked:
        row = self._network.sample()
        tensor = {"name": "x", "shape": [1, *row.shape], "datatype": "FP32"}
        url = f"http://{self._http}/v2/models/{self._called}/infer"
        if not self._binary:
            tensor["data"] = _listed(row.ravel())
            return Asked(url, json.dumps({"inputs": [tensor]}).encode(), JSON)
        tensor["parameters"] = {"binary_data_size": row.nbytes}
        wanted = {"name": "y", "parameters": {"binary_data": True}}
        head = json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode()
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(head)),
        }
        return Asked(url, head + row.tobytes(), headers)

    def answered(self, body: bytes, headers: Any) -> np.ndarray:
        if self._binary:
            return np.frombuffer(body[int(headers["Inference-Header-Content-Length"]) :], "<f4")
        return np.asarray(json.loads(body)["outputs"][0]["data"], np.float32)


class Front(Contender):
    """Nereid's HTTP front with nothing behind it: it says that it lives.

    What its slowest answers take is no model's, no router's and no batch's: it is the machine's,
    with so many programs on so few cores.
    """

    name = "the same HTTP front, no model asked"

    def __init__(self, server: OwnTriton) -> None:
        self._http = server.options.http
        self.processes = (psutil.Process(server.pid),)

    @property
    def asked(self) -> Asked:
        return Asked(f"http://{self._http}/v2/health/live", b"", {}, method="GET")

    def prove(self, expected: np.ndarray) -> None:
        self.asked.once()


class Peer(Served):
    """A server in a process and an environment of its own."""

    package: str
    path = "/predict"
    delay_s = 0.0005

    def __init__(self, network: Network, model: Path, folder: Path, console: Console) -> None:
        self._network = network
        self._folder = folder
        self.name = f"{type(self).__name__} {version(self.package)}"
        self._programs = environment(self.package, console)
        self._port, *spare = free_ports(3)
        own = {
            "BENCH_MODEL": str(model),
            "BENCH_THREADS": str(network.threads),
            "BENCH_BATCH": str(BATCH),
            "BENCH_DELAY_S": str(self.delay_s),
            "BENCH_PORT": str(self._port),
            "PYTHONPATH": str(SERVERS),
            "PATH": f"{self._programs}:{os.environ['PATH']}",
        }
        self._log = (folder / "server.log").open("wb")
        self._server = subprocess.Popen(
            self.command(spare),
            env={**os.environ, **own, **self.settings()},
            cwd=folder,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self.processes = (psutil.Process(self._server.pid),)

    @abstractmethod
    def command(self, spare: list[int]) -> list[str]:
        """How it is started; `spare` are two free ports."""

    def settings(self) -> dict[str, str]:
        """What its environment says besides."""
        return {}

    @property
    def asked(self) -> Asked:
        url = f"http://127.0.0.1:{self._port}{self.path}"
        return Asked(url, json.dumps(self.document(self._network.sample())).encode(), JSON)

    def document(self, row: np.ndarray) -> Any:
        return {"x": _listed(row)}

    def answered(self, body: bytes, headers: Any) -> np.ndarray:
        return np.asarray(json.loads(body)["y"], np.float32)

    def wait_ready(self) -> None:
        """Raises RuntimeError with the end of its log where it does not come."""
        said, until = "", time.monotonic() + READY_S
        while time.monotonic() < until and self._server.poll() is None:
            try:
                self.asked.once()
            except httpx.HTTPError as refused:
                said = str(refused)
                time.sleep(0.2)
            else:
                return
        log = (self._folder / "server.log").read_text(errors="replace")[-3000:]
        raise RuntimeError(f"{self.name} does not answer: {said}\n{log}")

    def stop(self) -> None:
        """Ends it and all that it started."""
        self.wake()
        family = _family(self.processes)
        if self._server.poll() is None:
            self._server.terminate()
        _, alive = psutil.wait_procs(family, timeout=20)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=10)
        self._log.close()


class MLServer(Peer):
    """Its workers cost a hop between processes, which only a slow network pays back."""

    package = "mlserver"
    path = "/v2/models/network/infer"

    def command(self, spare: list[int]) -> list[str]:
        workers = 0 if self._network.threads == 1 else 1
        settings = {
            "host": "127.0.0.1",
            "http_port": self._port,
            "grpc_port": spare[0],
            "metrics_port": spare[1],
            "metrics_endpoint": None,
            "parallel_workers": workers,
            "debug": False,
            "gzip_enabled": False,
        }
        model = {
            "name": "network",
            "implementation": "mlserver_runtime.OnnxModel",
            "max_batch_size": BATCH,
            "max_batch_time": self.delay_s,
        }
        (self._folder / "settings.json").write_text(json.dumps(settings))
        (self._folder / "model-settings.json").write_text(json.dumps(model))
        return [str(self._programs / "mlserver"), "start", str(self._folder)]

    def document(self, row: np.ndarray) -> Any:
        tensor = {"name": "x", "shape": [1, *row.shape], "datatype": "FP32"}
        return {"inputs": [{**tensor, "data": _listed(row.ravel())}]}

    def answered(self, body: bytes, headers: Any) -> np.ndarray:
        return np.asarray(json.loads(body)["outputs"][0]["data"], np.float32)


class LitServe(Peer):
    """One worker, and the queue between it and its front that it calls fast.

    Its processes look into that queue all the time: a quarter of a core.
    """

    package = "litserve"
    restless = True

    def command(self, spare: list[int]) -> list[str]:
        return [str(self._programs / "python"), str(SERVERS / "litserve_server.py")]


class BentoML(Peer):
    """One worker with adaptive batching."""

    package = "bentoml"

    def command(self, spare: list[int]) -> list[str]:
        serve = ["serve", "bentoml_service:Network", "--host", "127.0.0.1"]
        return [str(self._programs / "bentoml"), *serve, "--port", str(self._port)]

    def settings(self) -> dict[str, str]:
        return {
            "BENTOML_HOME": str(self._folder),
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_CONFIG_OPTIONS": "services.logging.access.enabled=false",
        }

    def document(self, row: np.ndarray) -> Any:
        return {"x": [_listed(row)]}

    def answered(self, body: bytes, headers: Any) -> np.ndarray:
        return np.asarray(json.loads(body)[0], np.float32)


class RayServe(Peer):
    """One replica; its proxy set for throughput. Its eleven processes take an eighth of a core."""

    package = "ray"
    restless = True

    def command(self, spare: list[int]) -> list[str]:
        return [str(self._programs / "python"), str(SERVERS / "ray_app.py")]

    def settings(self) -> dict[str, str]:
        return {
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": str(self._folder),
        }


PEERS: tuple[type[Peer], ...] = (MLServer, LitServe, BentoML, RayServe)


@contextmanager
def served(network: Network, model: Path) -> Iterator[OwnTriton]:
    """A Triton with the network as a version, and an endpoint in front of it."""
    row = ", ".join(map(str, network.row))
    signature = (
        f"max_batch_size: {BATCH}\n"
        f'input [{{ name: "x" data_type: TYPE_FP32 dims: [{row}] }}]\n'
        f'output [{{ name: "y" data_type: TYPE_FP32 dims: [{CLASSES}] }}]\n'
    )
    with own_triton() as server:
        version_name = f"{network.name}.v1"
        config = (
            f'backend: "onnxruntime"\n{signature}dynamic_batching {{}}\n'
            "instance_group [{ kind: KIND_CPU count: 1 }]\n"
            'parameters { key: "intra_op_thread_count" '
            f'value {{ string_value: "{network.threads}" }} }}\n'
        )
        (server.file_model(version_name, config) / "model.onnx").write_bytes(model.read_bytes())
        server.load(version_name)
        one_arm = f"arm {version_name} primary\nslots 0:10000\n"
        server.router(network.name, one_arm, signature=signature)
        yield server


@contextmanager
def peers(
    kinds: list[type[Peer]], network: Network, model: Path, console: Console
) -> Iterator[list[Peer]]:
    """Each started and answering; ended afterwards, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="nereid-peers-", ignore_cleanup_errors=True) as home:
        running: list[Peer] = []
        try:
            for kind in kinds:
                folder = Path(home) / kind.package
                folder.mkdir()
                running.append(kind(network, model, folder, console))
                running[-1].wait_ready()
            yield running
        finally:
            for peer in running:
                peer.stop()


def _listed(row: np.ndarray) -> Any:
    """With the decimals that the row has, and not those of its float32 as a float64."""
    return np.round(row.astype(np.float64), 3).tolist()


def _family(processes: tuple[psutil.Process, ...]) -> list[psutil.Process]:
    return [
        one
        for process in processes
        if process.is_running()
        for one in (process, *process.children(recursive=True))
    ]


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0

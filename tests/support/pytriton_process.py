"""A process as somebody's notebook has it: functions bound with PyTriton, on ports of its own.

Run as a script it is that process; `PyTritonProcess` starts and ends it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import psutil

MAX_BATCH = 8


class PyTritonProcess:
    """`double` (y = 2 x), `words` (texts in capitals) and `slow` (as long as it is told)."""

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self._folder = folder
        self._ports = ports
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self._ports[1]}"

    @property
    def source(self) -> str:
        return f"grpc://{self.grpc}/double"

    def start(self, within_s: float = 60.0) -> None:
        """Returns when all of its models answer."""
        workspace = self._folder / f"workspace-{time.monotonic_ns()}"
        with (self._folder / "pytriton.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, __file__, *map(str, self._ports), str(workspace)],
                # Its other way needs a newer Python in Triton's stub than the wheel has.
                env={**os.environ, "PYTRITON_NO_TENSORSTORE": "1"},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + within_s
        while not all(self._ready(name) for name in ("double", "words", "slow")):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError((self._folder / "pytriton.log").read_text()[-4000:])
            time.sleep(0.1)

    def stop(self) -> None:
        """Ends it, and the server that it started."""
        if self._process is None:
            return
        # Its server lives on while somebody is connected, and holds the ports.
        family = psutil.Process(self._process.pid).children(recursive=True)
        self._process.terminate()
        self._process.wait(30)
        self._process = None
        for orphan in psutil.wait_procs(family, timeout=1)[1]:
            orphan.kill()
        psutil.wait_procs(family, timeout=10)

    def _ready(self, model: str) -> bool:
        url = f"http://127.0.0.1:{self._ports[0]}/v2/models/{model}/ready"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _serve(http: int, grpc: int, metrics: int, workspace: str) -> None:
    from pytriton.decorators import batch
    from pytriton.model_config import ModelConfig, Tensor
    from pytriton.triton import Triton, TritonConfig

    @batch
    def double(x: np.ndarray) -> dict[str, Any]:
        if (x < 0).any():
            raise ValueError("no negative numbers, please")
        return {"y": x * 2}

    @batch
    def words(text: np.ndarray) -> dict[str, Any]:
        return {"capitals": np.char.upper(np.char.decode(text.astype(bytes), "utf-8"))}

    @batch
    def slow(seconds: np.ndarray) -> dict[str, Any]:
        time.sleep(float(seconds.max()))
        return {"slept": seconds}

    addresses = {"http_address": "127.0.0.1", "grpc_address": "127.0.0.1"}
    ports = {"http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    config = TritonConfig(**addresses, **ports, exit_timeout_secs=1)
    with Triton(config=config, workspace=workspace) as triton:
        for function, given, made in (
            (double, ("x", np.float32, (-1,)), ("y", np.float32, (-1,))),
            (words, ("text", bytes, (1,)), ("capitals", bytes, (1,))),
            (slow, ("seconds", np.float32, (1,)), ("slept", np.float32, (1,))),
        ):
            triton.bind(
                model_name=function.__name__,
                infer_func=function,
                inputs=[Tensor(name=given[0], dtype=given[1], shape=given[2])],
                outputs=[Tensor(name=made[0], dtype=made[1], shape=made[2])],
                config=ModelConfig(max_batch_size=MAX_BATCH),
            )
        triton.serve()


if __name__ == "__main__":
    _serve(*map(int, sys.argv[1:4]), sys.argv[4])

"""Native models for the router's tests: one that gives its input back, one that calls others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from shutil import copy

import tritonclient.grpc as grpcclient

from backends.build import Target, build
from tests.support import models
from tests.support.native import NATIVE
from tests.support.repositories import IDENTITY
from tests.support.triton import RunningTriton

IDENTITY_SIGNATURE = """
max_batch_size: 8
input [{ name: "x" data_type: TYPE_UINT8 dims: [-1] }]
output [{ name: "y" data_type: TYPE_UINT8 dims: [-1] }]
"""
DRIVER_SIGNATURE = 'output [{ name: "report" data_type: TYPE_STRING dims: [1] }]'


def native_model(repository: Path, name: str, source: Path, config: str) -> None:
    """A model whose backend is compiled from `source` and lies in the model's own folder."""
    backend = source.stem
    library = build(Target(f"libtriton_{backend}.so", (str(source),)), verbose=False)
    models.model_directory(
        repository, name, f'backend: "{backend}"\ninstance_group {{ kind: KIND_CPU }}\n{config}'
    )
    fresh = repository / name / f".{library.name}"
    copy(library, fresh)
    fresh.replace(repository / name / library.name)


def identity_model(repository: Path, name: str, config: str = "") -> None:
    native_model(repository, name, IDENTITY, IDENTITY_SIGNATURE + config)


def driver_model(repository: Path) -> None:
    native_model(repository, "driver", NATIVE / "driver.cc", DRIVER_SIGNATURE)


@dataclass(frozen=True)
class Driven:
    """What the driver saw: answers by the arm they name, errors by message, times."""

    arms: dict[str, int]
    errors: dict[str, int]
    seconds: float
    p50_us: float
    p90_us: float
    p99_us: float


def drive(
    server: RunningTriton, model: str, requests: int, *, concurrency: int = 8, size: int = 64
) -> Driven:
    """Calls `model` that often, from within the server."""
    client = grpcclient.InferenceServerClient(server.options.grpc)
    try:
        answer = client.infer(
            "driver",
            [],
            parameters={
                "model": model,
                "requests": requests,
                "concurrency": concurrency,
                "bytes": size,
            },
        )
    finally:
        client.close()
    return Driven(**json.loads(answer.as_numpy("report")[0]))


def resident_mb(server: RunningTriton) -> float:
    """The memory that the server's process has in use."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024

"""One more server of a running stack: a Triton and its node worker, which joins by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack import triton
from stack.ports import free_port
from tests.support.processes import eventually
from tests.support.serving import CHECKOUT, ServingStack


@dataclass(frozen=True)
class Joined:
    """Where the server is called, and where its models lie."""

    name: str
    grpc: str
    repository: Path
    gate: str


@contextmanager
def joined(stack: ServingStack, name: str) -> Iterator[Joined]:
    """Starts it beside the stack's own server and waits until it is ready; stops it in the end."""
    gate = free_port()
    given: dict[str, str] = json.loads((stack.home / "run" / "environment.json").read_text())
    home, repository = stack.home / "nodes" / name, stack.home / f"live-{name}"
    options = triton.TritonOptions(
        node_home=home,
        repository=repository,
        name=name,
        http_port=free_port(),
        grpc_port=free_port(),
        metrics_port=free_port(),
        control_key=given["NEREID_TRITON_CONTROL_KEY"],
        shm_key=given["NEREID_TRITON_SHM_KEY"],
    )
    environment = (
        os.environ
        | given
        | {
            "NEREID_NODE_NAME": name,
            "NEREID_TRITON_URL": options.http,
            "NEREID_TRITON_GRPC": options.grpc,
            "NEREID_TRITON_METRICS": options.metrics_url,
            "NEREID_MODEL_REPOSITORY": str(repository),
            "NEREID_TRITON_BACKENDS": str(options.backend_directory),
            "NEREID_REQUEST_LOG": str(options.request_log),
            "NEREID_NODE_PORT": str(gate),
            "NEREID_RECORDINGS_ASKED": str(options.recordings_asked),
            "NEREID_RECORDINGS": str(options.recordings),
        }
    )
    triton.prepare(options)
    with (stack.home / f"{name}.log").open("wb") as log:
        server = subprocess.Popen(
            triton.command(options), env=triton.environment(options), stdout=log, stderr=log
        )
        node: subprocess.Popen[bytes] | None = None
        try:
            triton.wait_ready(options, alive=lambda: server.poll() is None)
            node = subprocess.Popen(
                [sys.executable, "-m", "workers.node"],
                cwd=CHECKOUT,
                env=environment,
                stdout=log,
                stderr=log,
            )
            assert eventually((home / "state" / "ready.json").exists, 120), stack.tail()
            yield Joined(name, options.grpc, repository, f"http://127.0.0.1:{gate}")
        finally:
            for process in filter(None, (node, server)):
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            triton.clean_leftovers(name)

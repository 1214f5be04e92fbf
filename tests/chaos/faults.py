"""The faults, each as something that is done to a running stack and is over when it returns."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import redis

from nereid import Client
from stack.settings import CHECKOUT
from tests.chaos.changes import CHANGED, Changes
from tests.support.processes import eventually
from tests.support.serving import ServingStack

SMALL = 24_000
"""Bytes: the largest file that a node may write on its full disk. The sample has 41 kB."""

HANGS_S = 8.0
SLOW_S = 8.0
RANDOM_S = 20.0
SECOND_WORKER_S = 12.0
SAMPLE = CHECKOUT / "model_repository/samples/digits/v2/model.onnx"


@dataclass(frozen=True)
class Stage:
    """What faults are done to; `number` is the run's, so that each run may take another server."""

    stack: ServingStack
    changes: Changes
    dice: random.Random
    number: int

    @property
    def server(self) -> str:
        names = sorted(self.stack.servers)
        return names[self.number % len(names)]

    def process(self, kind: str) -> str:
        """The name of a server's process among the stack's."""
        return str(self.stack.servers[self.server]["processes"][kind])

    def pid(self, kind: str) -> int:
        return self.stack.pids[self.process(kind)]


@dataclass(frozen=True)
class Fault:
    """`one_server`: only one of the servers is hit, and callers have the others."""

    name: str
    what: str
    do: Callable[[Stage], None]
    one_server: bool = False


def kill_whole(pid: int) -> None:
    """Kill -9 of a process and of all that it started, at once: nothing is brought to an end."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


def _killed(name: str) -> Callable[[Stage], None]:
    return lambda stage: kill_whole(stage.stack.pids[name])


def _killed_of_server(*kinds: str) -> Callable[[Stage], None]:
    def do(stage: Stage) -> None:
        for pid in [stage.pid(kind) for kind in kinds]:
            kill_whole(pid)

    return do


def _killed_at_random(stage: Stage) -> None:
    end = time.monotonic() + RANDOM_S
    # Where no server is left nobody can answer: one is spared, another one each time.
    spared = stage.dice.choice(["", *(f"-{n}" for n in range(2, len(stage.stack.servers) + 1))])
    while time.monotonic() < end:
        # An edge is one process: its callers' connections end with it, and nothing else is said.
        left_alone = {"supervisor", "edge", f"triton{spared}", f"node{spared}"}
        names = sorted(set(stage.stack.pids) - left_alone)
        kill_whole(stage.stack.pids[stage.dice.choice(names)])
        time.sleep(stage.dice.uniform(0.5, 3.0))


def _restart_postgres(stage: Stage) -> None:
    os.kill(stage.stack.pids["postgres"], signal.SIGINT)


def _empty_broker(stage: Stage) -> None:
    given = json.loads((stage.stack.home / "run" / "environment.json").read_text())
    with contextlib.closing(redis.Redis.from_url(given["CELERY_BROKER_URL"])) as broker:
        broker.flushall()
    os.kill(stage.stack.pids["broker"], signal.SIGTERM)


def _new_version(stage: Stage) -> int:
    with Client(stage.stack.api, stage.stack.token) as client:
        return client.push("digits", SAMPLE, wait=True).number


def _reason(stage: Stage) -> tuple[str, str]:
    with contextlib.suppress(httpx.HTTPError), stage.stack.client() as client:
        seen = client.get(f"/endpoints/{CHANGED}/").raise_for_status().json()
        return seen["status"], seen["reason"]
    return "", ""


@contextlib.contextmanager
def full_disk(pid: int, largest: int = SMALL) -> Iterator[None]:
    """The kernel takes no larger file from a process and its children: a small disk that is full.

    Of one's own processes everybody may say so; the limit that is meant for them stays above.
    """
    root = psutil.Process(pid)
    processes = [root, *root.children(recursive=True)]
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    for process in processes:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (largest, before[1]))
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)


def _fill_disk(stage: Stage) -> None:
    version = _new_version(stage)
    with stage.changes.at_rest(), full_disk(stage.pid("node")):
        stage.changes.put_until_accepted(versions=(1, version))
        said = f"{stage.server}: "
        assert eventually(lambda: said in _reason(stage)[1], 60), _reason(stage)


def _truncate_artifact(stage: Stage) -> None:
    """Cuts off a model that serves on one server, and has that server load it again."""
    with stage.changes.at_rest():
        repository = stage.stack.servers[stage.server]["repository"]
        [file] = Path(repository).glob("digits.v1.*/1/model.onnx")
        file.chmod(0o644)
        os.truncate(file, 1000)
        kill_whole(stage.pid("triton"))


def _hang_in_load(stage: Stage) -> None:
    """Stops a Triton in the middle of a load, and lets it go on."""
    version = _new_version(stage)
    triton = psutil.Process(stage.pid("triton"))
    with stage.changes.at_rest():
        stage.changes.put_until_accepted(versions=(1, version))
        eventually(lambda: "preparing" in _reason(stage)[1], 5)
        triton.suspend()
        try:
            time.sleep(HANGS_S)
        finally:
            triton.resume()


def _slow_server(stage: Stage) -> None:
    """A Triton that has the processor only a fifth of the time."""
    triton = psutil.Process(stage.pid("triton"))
    end = time.monotonic() + SLOW_S
    while time.monotonic() < end:
        triton.suspend()
        time.sleep(0.4)
        triton.resume()
        time.sleep(0.1)


def _two_workers(stage: Stage) -> None:
    """A second control worker beside the stack's: both look at the same endpoints."""
    given = json.loads((stage.stack.home / "run" / "environment.json").read_text())
    worker = subprocess.Popen(
        [sys.executable, "-m", "workers.control"],
        cwd=CHECKOUT,
        env=os.environ | given,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(SECOND_WORKER_S)
    finally:
        kill_whole(worker.pid)
        worker.wait()


FAULTS = (
    Fault("triton", "a Triton is killed", _killed_of_server("triton"), one_server=True),
    Fault("node", "a node is killed", _killed_of_server("node"), one_server=True),
    Fault("server", "a Triton and its node are killed", _killed_of_server("triton", "node"), True),
    Fault("worker", "the control worker is killed", _killed("worker")),
    Fault("api", "the API is killed", _killed("api")),
    Fault("beat", "the clock of the workers is killed", _killed("beat")),
    Fault("broker", "the broker is killed", _killed("broker")),
    Fault("postgres", "PostgreSQL is killed", _killed("postgres")),
    Fault("restart-postgres", "PostgreSQL is restarted", _restart_postgres),
    Fault("empty-broker", "the broker is emptied and restarted", _empty_broker),
    Fault("full-disk", "a node's disk is full while a model is staged", _fill_disk, True),
    Fault("truncated", "a served artifact is cut off on one node", _truncate_artifact, True),
    Fault("hanging", f"a Triton hangs {HANGS_S:.0f} s in a load", _hang_in_load, True),
    Fault("slow", "a Triton has a fifth of the processor", _slow_server, True),
    Fault("two-workers", "two workers reconcile the same endpoints", _two_workers),
    Fault("random", f"anything is killed for {RANDOM_S:.0f} s", _killed_at_random),
)

"""The control plane's worker: two pools under one process, over a real broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from celery import Celery

from control_plane.adapters.workers import CeleryWorkers
from control_plane.ports.workers import WorkersUnknownError

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture
def worker(broker: str, postgres: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"CELERY_BROKER_URL": broker, "DATABASE_URL": postgres}
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.control"], cwd=CHECKOUT, env=environment
    )
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()


def queues(app: Celery) -> dict[str, list[str]]:
    """Queue -> its workers' names without their host."""
    return {
        queue: [worker.partition("@")[0] for worker in found]
        for queue, found in CeleryWorkers(app).by_queue().items()
    }


def test_validations_and_the_rest_have_pools_of_their_own(
    worker: subprocess.Popen[bytes], broker: str
) -> None:
    expected = {"control": ["worker"], "validation": ["validation"], "webhooks": ["webhooks"]}
    expected["perf"] = ["perf"]
    with Celery("test", broker=broker) as app:
        _until(lambda: queues(app) == expected)
        [victim] = [
            child
            for child in psutil.Process(worker.pid).children()
            if "validation@%h" in child.cmdline()
        ]
        victim.kill()
        # One that died is started again; the other does not notice.
        _until(lambda: not victim.is_running() and queues(app) == expected)
    children = psutil.Process(worker.pid).children()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert not any(child.is_running() for child in children)


def test_what_the_clock_asks_for_is_there_to_be_done() -> None:
    code = (
        "from workers.app import app; app.loader.import_default_modules(); "
        "print(sorted({e['task'] for e in app.conf.beat_schedule.values()} - set(app.tasks)))"
    )
    # A process of its own: the application is one for all of it.
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_without_a_broker_nobody_knows_who_works() -> None:
    unknown = pytest.raises(WorkersUnknownError, match="does not answer")
    with Celery("test", broker="redis://127.0.0.1:9/0") as app, unknown:
        CeleryWorkers(app).by_queue()


def _until(condition: object, patience_s: float = 60) -> None:
    assert callable(condition)
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)

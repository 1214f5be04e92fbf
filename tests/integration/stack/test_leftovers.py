"""What a killed stack left is ended; what merely has an old pid of ours is not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stack import leftovers
from stack.leftovers import Record
from tests.support.processes import is_gone

SLEEPS = "import sys; print('up', flush=True); sys.stdin.read()"
STUBBORN = f"import signal; signal.signal(15, signal.SIG_IGN); {SLEEPS}"
WITH_CHILD = (
    "import subprocess, sys;"
    "kid = subprocess.Popen(['sleep', '600'], start_new_session=True);"
    "print(kid.pid, flush=True); sys.stdin.read()"
)


class Started:
    """Processes that a stack on `home` might have started."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.processes: list[subprocess.Popen[str]] = []

    def __call__(
        self, code: str, *, marked: bool = True
    ) -> tuple[subprocess.Popen[str], str, Record]:
        marker = leftovers.marker(self.home) if marked else {}
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **marker},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        created = psutil.Process(process.pid).create_time()
        return process, said, Record("worker", process.pid, created)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    starter = Started(tmp_path)
    yield starter
    for process in starter.processes:
        with process:
            process.kill()


def test_recorded_processes_are_ended(started: Started, tmp_path: Path) -> None:
    process, _, record = started(SLEEPS, marked=False)
    leftovers.remember(tmp_path, [record])
    stack_file = tmp_path / "stack.json"
    stack_file.write_text("{}")
    assert leftovers.clean(tmp_path, stack_file) == [f"worker {process.pid}", "stack.json"]
    assert process.wait(5) is not None
    assert not stack_file.exists()
    assert leftovers.recall(tmp_path) == []
    assert leftovers.clean(tmp_path, stack_file) == []


def test_a_pid_that_somebody_else_has_by_now_is_left_alone(
    started: Started, tmp_path: Path
) -> None:
    process, _, record = started(SLEEPS, marked=False)
    leftovers.remember(tmp_path, [Record("worker", record.pid, record.created - 60)])
    assert leftovers.clean(tmp_path, tmp_path / "stack.json") == []
    assert process.poll() is None


def test_grandchildren_are_found_by_their_mark(started: Started, tmp_path: Path) -> None:
    process, kid, _ = started(WITH_CHILD)
    process.kill()
    process.wait()
    assert leftovers.clean(tmp_path, tmp_path / "stack.json") == [f"process {kid}"]
    assert leftovers.marked(tmp_path) == []


def test_another_stack_is_left_alone(started: Started, tmp_path: Path) -> None:
    process, _, _ = started(SLEEPS)
    assert leftovers.clean(tmp_path / "other", tmp_path / "other" / "stack.json") == []
    assert process.poll() is None


def test_one_that_does_not_listen_is_killed(started: Started) -> None:
    process, _, _ = started(STUBBORN)
    leftovers.end([psutil.Process(process.pid)], patience=0.3)
    assert is_gone(process.pid)


@pytest.mark.parametrize("content", ["", "[", "{}", '[{"pid": 1}]', "[3]", "null"])
def test_a_spoilt_record_counts_as_none(tmp_path: Path, content: str) -> None:
    path = leftovers.records_file(tmp_path)
    path.parent.mkdir()
    path.write_text(content)
    assert leftovers.recall(tmp_path) == []

"""One supervisor per home, whoever was killed before."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.lock import AlreadyRunningError, HomeLock, holder

HOLD = """
import sys
from pathlib import Path
from stack.lock import HomeLock
with HomeLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of tmp_path."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_supervisor_is_told_the_pid_of_the_first(
    other: subprocess.Popen[str], tmp_path: Path
) -> None:
    with pytest.raises(AlreadyRunningError, match=rf"supervisor pid {other.pid}\b"):
        HomeLock(tmp_path).acquire()
    assert holder(tmp_path) == other.pid


def test_a_killed_supervisor_holds_nothing(other: subprocess.Popen[str], tmp_path: Path) -> None:
    other.kill()
    other.wait()
    assert holder(tmp_path) is None
    with HomeLock(tmp_path):
        pass


def test_a_home_that_was_never_used_is_free(tmp_path: Path) -> None:
    assert holder(tmp_path / "nowhere") is None
    assert not (tmp_path / "nowhere").exists()


def test_the_program_tells_a_shell(other: subprocess.Popen[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stack.lock"]
    environment = {"NEREID_HOME": str(tmp_path)}
    asked = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert asked.returncode == 1
    assert str(other.pid) in asked.stderr

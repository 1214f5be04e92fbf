"""`python -m stack serve` that cannot be: one clear line, exit status, nothing started."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stack.lock import HomeLock
from stack.ports import free_port
from stack.settings import CHECKOUT, PORT_VARIABLES


def run_stack(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEREID_")}
    for name in ("DATABASE_URL", "CELERY_BROKER_URL"):
        kept.pop(name, None)
    ports = {name: str(free_port()) for name in PORT_VARIABLES}
    return subprocess.run(
        [sys.executable, "-m", "stack", *arguments],
        cwd=CHECKOUT,
        env={**kept, **ports, "NEREID_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_taken_port_is_a_clear_error_and_nothing_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refused = run_stack(tmp_path, "serve", NEREID_TRITON_GRPC_PORT=str(port))
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"error: port {port} is taken")
    assert "set NEREID_TRITON_GRPC_PORT to another one" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "postgres").exists()


def test_a_second_stack_on_one_home_is_told_of_the_first(tmp_path: Path) -> None:
    with HomeLock(tmp_path):
        refused = run_stack(tmp_path, "serve")
    assert refused.returncode == 1
    assert f"supervisor pid {os.getpid()}" in refused.stderr


def test_a_bad_port_is_wrong_usage(tmp_path: Path) -> None:
    refused = run_stack(tmp_path, "serve", NEREID_HTTP_PORT="web")
    assert refused.returncode == 2
    assert "NEREID_HTTP_PORT=web" in refused.stderr


def test_a_backup_of_a_home_where_something_else_is_at_work_says_so(tmp_path: Path) -> None:
    """Of a stack that starts, or beside another backup of one that does not run."""
    with HomeLock(tmp_path):
        refused = run_stack(tmp_path, "backup", str(tmp_path / "kept"))
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"error: process {os.getpid()} is at work in {tmp_path}")


def test_a_backup_of_a_home_that_is_none_makes_none(tmp_path: Path) -> None:
    home = tmp_path / "home"
    refused = run_stack(home, "backup", str(tmp_path / "kept"))
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"error: nothing was ever started in {home}")
    assert list(tmp_path.iterdir()) == []


def test_a_backup_is_verified_without_a_stack_and_with_secrets_in_files(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("hidden")
    home, folder = tmp_path / "home", tmp_path / "kept"
    refused = run_stack(home, "backup", str(folder), "--verify", NEREID_SECRET_KEY_FILE=str(key))
    assert refused.returncode == 1
    assert refused.stderr.strip().endswith(f"{folder} is no backup: it has no manifest.json")
    assert "Traceback" not in refused.stderr
    assert not home.exists()


@pytest.mark.parametrize("command", [("status",), ("env",), ("manage", "check")])
def test_questions_about_a_stack_that_does_not_run(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    answer = run_stack(tmp_path, *command)
    assert answer.returncode == 1
    assert f"nothing runs in {tmp_path}" in answer.stdout + answer.stderr


def test_a_part_that_does_not_come_up_ends_the_start_and_leaves_nothing(tmp_path: Path) -> None:
    unreachable = f"postgresql://nobody@127.0.0.1:{free_port()}/nereid"
    failed = run_stack(tmp_path, "serve", "--no-sample", DATABASE_URL=unreachable)
    assert failed.returncode == 1
    assert "migrate ended with exit status 1" in failed.stdout
    assert "refused" in failed.stdout
    assert list((tmp_path / "run").iterdir()) == [tmp_path / "run" / "supervisor.lock"]
    assert not (tmp_path / "stack.json").exists()

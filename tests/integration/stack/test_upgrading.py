"""Leading a running stack to another version: who asks while one is under way, and what goes wrong.

What it does to a stack that serves is in `tests/e2e/test_operations.py`.
"""

from __future__ import annotations

import asyncio
import fcntl
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from control_plane.adapters.machines import MachineFileError
from stack import services
from stack.lock import HomeLock
from stack.processes import Service
from stack.settings import Secrets, StackSettings, load
from stack.terminal import Terminal
from stack.upgrading import UpgradeError, Upgrading, ask


@pytest.fixture
def settings(tmp_path: Path) -> StackSettings:
    found = load({"NEREID_HOME": str(tmp_path), "NEREID_SERVERS": "2", "NEREID_EDGE": "1"})
    found.run_dir.mkdir()
    return found


class Stack:
    """Stands for the steps and the supervisor: says what was done, each when it is let go."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.done: list[str] = []
        self.go_on = asyncio.Event()
        self._fails = fails

    async def migrate(self) -> None:
        await self.go_on.wait()
        if self._fails:
            raise self._fails
        self.done.append("migrate")

    def replace(self, service: Service) -> None:
        self.done.append(f"{service.name} anew")

    async def restart(self, name: str) -> float:
        self.done.append(name)
        return 0.1


def upgrading(settings: StackSettings, stack: Any) -> Upgrading:
    keys = Secrets("secret", "control", "shm")
    return Upgrading(settings, keys, stack, stack, Terminal(Console(file=io.StringIO())))


def asks(settings: StackSettings, identity: str, **more: str) -> None:
    (settings.run_dir / "upgrade-asked.json").write_text(json.dumps({"id": identity, **more}))


def answer(settings: StackSettings) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((settings.run_dir / "upgrade.json").read_text())
    return found


async def ended(own: Upgrading) -> None:
    assert own._task is not None
    await asyncio.wait_for(own._task, 10)


def test_every_process_of_our_own_is_started_anew_and_triton_and_envoy_are_not(
    settings: StackSettings,
) -> None:
    async def run() -> None:
        stack = Stack()
        stack.go_on.set()
        own = upgrading(settings, stack)
        asks(settings, "one")
        own.begin()
        await ended(own)
        nodes = [server.process("node") for server in settings.servers]
        assert stack.done == ["migrate", *nodes, "edge-files", "worker", "beat", "api"]
        stack.done.clear()
        alone = upgrading(replace(settings, edge=None), stack)
        alone.begin()
        await ended(alone)
        assert "edge-files" not in stack.done

    asyncio.run(run())


def test_of_one_server_triton_and_node_are_started_anew_with_what_its_flags_say_now(
    settings: StackSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(identity: str) -> list[str]:
        stack = Stack()
        own = upgrading(settings, stack)
        asks(settings, identity, server="local-2")
        own.begin()
        await ended(own)
        return stack.done

    assert asyncio.run(run("one")) == ["triton-2 anew", "triton-2", "node-2"]
    assert answer(settings)["state"] == "done"

    def broken(*_: object) -> None:
        raise MachineFileError("triton_configs/server/default.yaml: /model_load_thread_count: no")

    monkeypatch.setattr(services, "triton_options", broken)
    assert asyncio.run(run("two")) == [], "nothing was ended"
    assert "model_load_thread_count" in answer(settings)["reason"]


def test_who_asks_while_one_is_under_way_gets_one_of_his_own_when_that_is_over(
    settings: StackSettings,
) -> None:
    async def run() -> None:
        stack = Stack()
        own = upgrading(settings, stack)
        asks(settings, "one")
        own.begin()
        await asyncio.sleep(0)  # it has begun
        asks(settings, "two")
        own.begin()
        stack.go_on.set()
        await ended(own)
        assert stack.done.count("migrate") == 2
        assert (answer(settings)["id"], answer(settings)["state"]) == ("two", "done")

    asyncio.run(run())


def test_what_goes_wrong_is_told_whoever_says_so(settings: StackSettings) -> None:
    async def run() -> None:
        stack = Stack(fails=OSError("no space left on device"))
        stack.go_on.set()
        own = upgrading(settings, stack)
        asks(settings, "one")
        own.begin()
        await ended(own)
        said = answer(settings)
        assert (said["id"], said["state"]) == ("one", "failed")
        assert "no space" in said["reason"]

    asyncio.run(run())


def test_a_second_one_who_asks_is_told_of_the_first_at_once(
    settings: StackSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.upgrading.os.kill", lambda *_: None)
    monkeypatch.setattr("stack.upgrading.PATIENCE_S", 1.0)
    with HomeLock(settings.home), (settings.run_dir / "upgrade.lock").open("a") as handle:
        with pytest.raises(UpgradeError, match="no stack is ready"):
            next(ask(settings))
        settings.stack_file.write_text("{}")
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(UpgradeError, match="under way already"):
            next(ask(settings))

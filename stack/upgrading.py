"""A running stack is led to the code that lies in the checkout now, while Triton answers.

What is asked for, and what came of it, are files of the stack's run folder; the supervisor is told
by a signal. An upgrade touches no Triton: it holds nothing of the control plane's code but its
backends, and those are taken when it is started. That is asked for server by server (`rolling`).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from rich.text import Text

from control_plane.adapters.machines import MachineFileError, load_server
from control_plane.adapters.private_files import write_private
from stack import lock, services, stackfile
from stack.processes import StartError
from stack.servers import StackServer
from stack.settings import Secrets, StackSettings
from stack.steps import Steps
from stack.supervisor import Supervisor
from stack.terminal import Terminal

UPGRADE_SIGNAL = signal.SIGUSR1
PATIENCE_S = 900.0
LOOK_S = 0.1


class UpgradeError(RuntimeError):
    """What was asked of the running stack did not come about; says how far it came."""


class Upgrading:
    """The supervisor's part."""

    def __init__(
        self,
        settings: StackSettings,
        keys: Secrets,
        steps: Steps,
        supervisor: Supervisor,
        terminal: Terminal,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._steps = steps
        self._supervisor = supervisor
        self._terminal = terminal
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def begin(self) -> None:
        """Takes up what is asked for; while one is under way, when that is over.

        The code may have been changed again since that one began.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._upgrade())
        else:
            self._again = True

    async def ended(self) -> None:
        """Gives up what is under way: everything is stopped."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _upgrade(self) -> None:
        await self._upgrade_once()
        while self._again:
            self._again = False
            await self._upgrade_once()

    async def _upgrade_once(self) -> None:
        asked = _read(_asked(self._settings))
        done: list[str] = []

        def tell(state: str, reason: str = "") -> None:
            said = {"id": asked.get("id", ""), "state": state, "done": done, "reason": reason}
            write_private(_answer(self._settings), json.dumps(said) + "\n")

        try:
            async for line in self._do(asked):
                done.append(line)
                tell("running")
        except (StartError, OSError) as error:
            self._terminal.print(Text(f"\nupgrade: {error}", "red"))
            with contextlib.suppress(OSError):  # nor can it be said where the disk is full
                tell("failed", str(error))
            return
        except asyncio.CancelledError:
            tell("failed", "the stack was stopped")
            raise
        self._terminal.say(f"upgraded: {', '.join(done)}")
        tell("done")

    async def _do(self, asked: dict[str, Any]) -> AsyncIterator[str]:
        """Everything but the Tritons, or one server: its Triton and its node."""
        names = self._order()
        if "server" in asked:
            server = next(one for one in self._settings.servers if one.name == asked["server"])
            self._read_anew(server)
            names = [server.process(kind) for kind in services.OF_EACH_SERVER]
        else:
            # The old code goes on with the new schema for a moment: migrations only add.
            await self._steps.migrate()
            yield "migrated"
        for name in names:
            seconds = await self._supervisor.restart(name)
            yield f"{name} is back after {seconds:.1f} s"

    def _read_anew(self, server: StackServer) -> None:
        """Has the server's Triton started with the flags that its file says by now.

        Raises:
            StartError: the file says what cannot be; nothing was ended.
        """
        load_server.cache_clear()
        try:
            options = services.triton_options(server, self._settings, self._keys)
        except MachineFileError as error:
            raise StartError(str(error)) from error
        self._supervisor.replace(services.triton_service(server, options, self._settings))

    def _order(self) -> list[str]:
        """Who carries out before who decides; one node at a time, so that one gate is closed."""
        nodes = [server.process("node") for server in self._settings.servers]
        # Envoy goes on, with the files that it has.
        writer = ["edge-files"] if self._settings.edge else []
        return [*nodes, *writer, "worker", "beat", "api"]


def ask(settings: StackSettings, *, server: str | None = None) -> Iterator[str]:
    """Asks the running stack, and says what is done as it is done.

    Args:
        server: the one whose Triton and node are started anew; None: the rest of the stack is.

    Raises:
        UpgradeError: nothing runs, somebody else asked already, it failed, or it takes too long.
    """
    supervisor = lock.holder(settings.home)
    if not supervisor or stackfile.read(settings.stack_file) is None:
        raise UpgradeError(f"no stack is ready in {settings.home}: `make serve` starts the new one")
    with (settings.run_dir / "upgrade.lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UpgradeError(
                "an upgrade is under way already: ask again when it is over, if the code was "
                "changed since it began"
            ) from None
        yield from _asked_of(supervisor, settings, {} if server is None else {"server": server})


def _asked_of(supervisor: int, settings: StackSettings, what: dict[str, str]) -> Iterator[str]:
    asked = uuid.uuid4().hex
    write_private(_asked(settings), json.dumps({"id": asked, **what}) + "\n")
    os.kill(supervisor, UPGRADE_SIGNAL)
    told, deadline = 0, time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        said = _read(_answer(settings))
        if said.get("id") == asked:
            yield from said["done"][told:]
            told = len(said["done"])
            if said["state"] == "done":
                return
            if said["state"] == "failed":
                raise UpgradeError(str(said["reason"]))
        if lock.holder(settings.home) != supervisor:
            raise UpgradeError("the stack was stopped meanwhile")
        time.sleep(LOOK_S)
    raise UpgradeError(
        f"not done within {PATIENCE_S:.0f} s; `python -m stack status` says what runs"
    )


def _asked(settings: StackSettings) -> Path:
    return settings.run_dir / "upgrade-asked.json"


def _answer(settings: StackSettings) -> Path:
    return settings.run_dir / "upgrade.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return found

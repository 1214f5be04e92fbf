"""The set of supervised processes: launched one by one, recorded, taken down in order."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

from stack import leftovers, stackfile
from stack.logs import ProcessLog
from stack.processes import Service, SupervisedProcess
from stack.services import kind_of, names
from stack.settings import StackSettings
from stack.terminal import Terminal

# Who asks goes before who answers, so that nothing fails on the way down.
STOP_ORDER = (("edge",), ("node", "worker", "beat", "api"), ("triton",), ("broker", "postgres"))


class Supervisor:
    def __init__(
        self, settings: StackSettings, terminal: Terminal, logs: dict[str, ProcessLog]
    ) -> None:
        self.hurry = asyncio.Event()
        self._settings = settings
        self._terminal = terminal
        self._logs = logs
        self._processes: dict[str, SupervisedProcess] = {}
        self._published: dict[str, Any] | None = None

    async def launch(self, service: Service) -> None:
        process = SupervisedProcess(
            service,
            self._logs[service.name],
            self._settings.home,
            say=lambda text: self._terminal.say(text, "yellow"),
            changed=self._record,
        )
        self._processes[service.name] = process
        await process.start()

    async def restart(self, name: str) -> float:
        """Ends one process and starts it anew; returns the seconds until it was ready.

        Raises:
            StartError: it does not come up; it is tried again and again.
        """
        return await self._processes[name].restart(self.hurry)

    def replace(self, service: Service) -> None:
        """Has a process be what this says from its next start on."""
        self._processes[service.name].service = service

    def pids(self) -> dict[str, int]:
        running = {name: process.pid for name, process in self._processes.items() if process.pid}
        return {name: running[name] for name in names(self._settings) if name in running}

    def publish(self, content: dict[str, Any]) -> None:
        """Write stack.json, and again whenever a process gets another pid."""
        self._published = content
        stackfile.write(self._settings.stack_file, content)

    def _record(self) -> None:
        records = [process.record for process in self._processes.values() if process.record]
        leftovers.remember(self._settings.home, records)
        if self._published is not None:
            self._published["pids"].update(self.pids())
            stackfile.write(self._settings.stack_file, self._published)

    async def take_down(self) -> None:
        """Stop what runs, and leave nothing that says something runs."""
        self._published = None
        self._settings.stack_file.unlink(missing_ok=True)
        for kinds in STOP_ORDER:
            await self._stop(kinds)
        # A start that was interrupted may have forked what nobody has taken charge of yet.
        strays = await asyncio.to_thread(leftovers.marked, self._settings.home)
        if strays:
            await asyncio.to_thread(leftovers.end, strays)
        leftovers.records_file(self._settings.home).unlink(missing_ok=True)

    async def _stop(self, kinds: Iterable[str]) -> None:
        stops = [
            process.stop(self.hurry)
            for name, process in self._processes.items()
            if kind_of(name) in kinds
        ]
        for result in await asyncio.gather(*stops, return_exceptions=True):
            if isinstance(result, BaseException):
                self._terminal.say(f"while stopping: {result!r}", "red")

    def close(self) -> None:
        for log in self._logs.values():
            with contextlib.suppress(OSError):
                log.close()

"""One supervised process: started, watched until ready, started again when it dies, stopped.

Everything happens in the event loop of the main thread, also the forking: the kernel ends a
child when the thread that forked it ends (see `stack.child`).
"""

import asyncio
import contextlib
import re
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from stack import leftovers
from stack.logs import ProcessLog
from stack.spawn import Child

PROBE_INTERVAL_S = 0.05
FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 15.0
STEADY_AFTER_S = 30.0


class StartError(RuntimeError):
    """A process did not come up; carries what it said last."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """What to run and how to tell that it works."""

    name: str
    command: Callable[[], Sequence[str]]
    environment: Mapping[str, str]
    cwd: Path
    prepare: Callable[[], object] | None = None  # before each start; may block
    ready: Callable[[], bool] | None = None  # may block
    ready_line: re.Pattern[str] | None = None  # for what can only be seen in the output
    ready_within_s: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_s: float = 15.0


def how_it_ended(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit status {code}"


class SupervisedProcess:
    """Runs one service until it is told to stop."""

    def __init__(
        self,
        service: Service,
        log: ProcessLog,
        home: Path,
        *,
        say: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self.service = service
        self.log = log
        self.record: leftovers.Record | None = None
        self._home = home
        self._say = say
        self._changed = changed
        self._process: Child | None = None
        self._line_seen = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._started_at = 0.0

    @property
    def pid(self) -> int | None:
        return self.record.pid if self.record else None

    async def start(self) -> float:
        """Start it and wait until it is ready, then watch over it; returns the seconds taken."""
        began = time.monotonic()
        try:
            await self._launch()
        except (OSError, RuntimeError, ValueError) as error:
            # Its preparation's own words, or the system's: a person can act on either.
            raise StartError(f"{self.service.name} could not be started: {error}") from error
        await self._until_ready()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.service.name}")
        return time.monotonic() - began

    async def _launch(self) -> None:
        service = self.service
        if service.prepare:
            await asyncio.to_thread(service.prepare)
        self._line_seen.clear()
        self._process = process = Child(
            service.command(),
            environment={**service.environment, **leftovers.marker(self._home)},
            cwd=service.cwd,
        )
        self._started_at = time.monotonic()
        with contextlib.suppress(psutil.NoSuchProcess):
            created = psutil.Process(process.pid).create_time()
            self.record = leftovers.Record(service.name, process.pid, created)
        self._changed()
        self._pump = asyncio.create_task(self._read_output(process))

    async def _read_output(self, process: Child) -> None:
        async for line in process.lines():
            self.log.line(line)
            if self.service.ready_line and self.service.ready_line.search(line):
                self._line_seen.set()

    async def _until_ready(self) -> None:
        process, service = self._process, self.service
        assert process is not None  # noqa: S101 - only called after a launch
        deadline = time.monotonic() + service.ready_within_s
        while not await self._is_ready():
            if process.exit_code is not None:
                if self._pump:  # its last words; whoever still holds the pipe is not waited for
                    await asyncio.wait({self._pump}, timeout=1)
                raise StartError(self._complaint(how_it_ended(process.exit_code)))
            if time.monotonic() > deadline:
                raise StartError(self._complaint(f"not ready in {service.ready_within_s:.0f} s"))
            await asyncio.sleep(PROBE_INTERVAL_S)

    async def _is_ready(self) -> bool:
        if self.service.ready_line and not self._line_seen.is_set():
            return False
        return self.service.ready is None or await asyncio.to_thread(self.service.ready)

    def _complaint(self, what: str) -> str:
        tail = "\n".join(f"  {line}" for line in self.log.tail)
        return f"{self.service.name} {what}. Its last lines (all in {self.log.path}):\n{tail}"

    async def _keep(self) -> None:
        """Start it again whenever it ends, ever more slowly when it does not stay up."""
        delay = FIRST_DELAY_S
        while True:
            assert self._process is not None  # noqa: S101
            code = await self._process.wait()
            if time.monotonic() - self._started_at > STEADY_AFTER_S:
                delay = FIRST_DELAY_S
            self._say(f"{self.service.name} {how_it_ended(code)}; starting it again")
            await self._end_session()
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY_S)
            try:
                await self._launch()
                await self._until_ready()
            except Exception as error:  # it is tried again, whatever the reason was
                self._say(f"{self.service.name} did not come back: {error}")
                self._signal(signal.SIGKILL)
                continue
            back = time.monotonic() - self._started_at
            self._say(f"{self.service.name} is back after {back:.1f} s (pid {self.pid})")

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            self._process.signal(number)

    async def _end_session(self) -> None:
        """End what the dead process left running: it would be in the way of the next one."""
        if self.pid is not None:
            members = await asyncio.to_thread(leftovers.marked, self._home, self.pid)
            if members:
                await asyncio.to_thread(leftovers.end, members)

    async def restart(self, hurry: asyncio.Event) -> float:
        """Ends it and starts it anew, with what lies on the disk now; returns the seconds taken.

        Raises:
            StartError: it does not come up; it is tried again and again, as if it had died.
        """
        await self.stop(hurry)
        try:
            return await self.start()
        except StartError:
            if self._process is not None:
                self._signal(signal.SIGKILL)
                self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.service.name}")
            raise

    async def stop(self, hurry: asyncio.Event) -> None:
        """Ask it to end, kill it when it does not in time or when `hurry` is set."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        process = self._process
        if process is None:
            return
        if process.exit_code is None:
            process.signal(self.service.stop_signal)
            ended = asyncio.create_task(process.wait())
            hurried = asyncio.create_task(hurry.wait())
            await asyncio.wait(
                {ended, hurried},
                timeout=self.service.stop_within_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            hurried.cancel()
            if process.exit_code is None:
                if not hurry.is_set():
                    self._say(f"{self.service.name} did not stop in time; killed")
                process.signal(signal.SIGKILL)
            await ended
        await self._end_session()
        if self._pump:
            await asyncio.wait({self._pump}, timeout=1)
            self._pump.cancel()
        self.record = None
        self._changed()


async def run_once(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    cwd: Path,
    home: Path,
    log: ProcessLog,
) -> str:
    """Run a step that ends by itself; its standard output, or StartError when it fails."""
    with tempfile.TemporaryFile() as output:
        process = Child(
            command,
            environment={**environment, **leftovers.marker(home)},
            cwd=cwd,
            stdout=output.fileno(),
        )
        try:
            async for line in process.lines():
                log.line(line)
            code = await process.wait()
        finally:
            process.signal(signal.SIGKILL)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if code != 0:
        said = "\n".join(f"  {line}" for line in [*text.splitlines(), *log.tail][-25:])
        raise StartError(f"{log.name} {how_it_ended(code)}:\n{said}")
    return text

"""A child process in the event loop, whose end is seen when it ends.

asyncio's own subprocesses report their end only after their pipes are closed: a grandchild that
holds one (a Triton stub, a pool worker) would make a dead process look alive.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

CHUNK = 65536


class Child:
    """Forked by the thread of the running loop; leads a session of its own.

    Its output can be read from `lines()`; with `stdout` given only what it says on stderr can.
    Ctrl-C in the terminal does not reach it: the supervisor alone decides about the end.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        cwd: Path,
        stdout: int | None = None,
        inherit_output: bool = False,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._output, write = os.pipe()
        try:
            self._popen = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=None if inherit_output else stdout if stdout is not None else write,
                stderr=None if inherit_output else write,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._output)
            raise
        finally:
            os.close(write)
        if inherit_output:
            os.close(self._output)
        self._exit: asyncio.Future[int] = self._loop.create_future()
        name = f"wait for {self._popen.pid}"
        threading.Thread(target=self._await_exit, name=name, daemon=True).start()

    def _await_exit(self) -> None:
        code = self._popen.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
            self._loop.call_soon_threadsafe(self._exit.set_result, code)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        return self._exit.result() if self._exit.done() else None

    async def wait(self) -> int:
        return await asyncio.shield(self._exit)

    def signal(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            self._popen.send_signal(number)  # which looks first whether the pid is still its own

    async def lines(self) -> AsyncIterator[str]:
        """What it and its own children say, until the last of them closes the pipe."""
        reader = asyncio.StreamReader()
        transport, _ = await self._loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(self._output, "rb", 0)
        )
        rest = b""
        try:
            while chunk := await reader.read(CHUNK):
                *complete, rest = (rest + chunk).split(b"\n")
                for line in complete:
                    yield _text(line)
            if rest:
                yield _text(rest)
        finally:
            transport.close()


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")

"""The person's terminal: one place to write to, which may close without taking the stack along."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Self, TypeVar

from rich.console import Console, RenderableType
from rich.status import Status
from rich.text import Text

Result = TypeVar("Result")


class Terminal:
    """Prints to a console until that fails (`make serve | head`), then stays silent."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._open = True

    def print(self, what: RenderableType = "", *, wrap: bool = True) -> None:
        if not self._open:
            return
        try:
            self.console.print(what, soft_wrap=not wrap)
        except OSError:
            self._open = False

    def say(self, text: str, style: str = "") -> None:
        """A line of the supervisor's own."""
        self.print(
            Text(f"{'nereid':<10}", "bold").append("| ", "dim").append(text, style), wrap=False
        )


class Progress:
    """What the start waits for, and a line for each step that is done.

    On a terminal the open steps are shown beside a spinner; elsewhere there are only the lines.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._waiting: list[str] = []
        self._status: Status | None = None
        if terminal.console.is_terminal:
            self._status = Status("starting", console=terminal.console)

    async def step(self, name: str, work: Awaitable[Result]) -> Result:
        self._waiting.append(name)
        self._refresh()
        began = time.monotonic()
        try:
            result = await work
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._line("x", "red", name, began)
            raise
        finally:
            self._waiting.remove(name)
            self._refresh()
        self._line("+", "green", name, began)
        return result

    def _line(self, sign: str, style: str, name: str, began: float) -> None:
        seconds = f"{time.monotonic() - began:5.1f} s"
        self._terminal.print(Text(f" {sign} ", style).append(f"{name:<24}").append(seconds, "dim"))

    def _refresh(self) -> None:
        if self._status:
            self._status.update("waiting for " + ", ".join(self._waiting))

    def pause(self) -> None:
        """Leave the last line of the terminal to somebody else."""
        if self._status:
            self._status.stop()

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pause()

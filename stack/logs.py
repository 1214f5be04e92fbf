"""Where the output of the processes goes: a file for each, and prefixed lines in the terminal."""

import enum
import re
from collections import deque
from pathlib import Path
from typing import TextIO

from rich.text import Text

from stack.terminal import Terminal

LARGEST_FILE = 20 * 1024 * 1024
TAIL_LINES = 20
PREFIX_WIDTH = 10
COLOURS = {
    "postgres": "blue",
    "broker": "magenta",
    "triton": "green",
    "api": "cyan",
    "worker": "yellow",
    "beat": "bright_black",
    "node": "bright_blue",
    "migrate": "blue",
    "bootstrap": "cyan",
}
# What deserves a person's eye; everything else is in the files, and with `--logs all` here too.
ALARM = re.compile(r"WARN|ERROR|CRITICAL|FATAL|PANIC|Traceback|Exception|^[EWF]\d{4} ")
# Sounds alarming, is said at every start on such machines, and nothing is to be done about it.
HARMLESS = re.compile(
    r"overcommit_memory|CudaDriverHelper|superuser privileges|CUDA driver version|"
    r"the database system is (starting up|not yet accepting connections)|"
    r"django\.request: (Not Found|Unauthorized|Precondition)|"
    r"Unable to allocate pinned system memory|Failed to initialize NVML"
)


class Show(enum.Enum):
    """How much of the processes' output the terminal gets."""

    ALL = "all"
    IMPORTANT = "important"
    NONE = "none"


class ProcessLog:
    """The output of one process, over all its restarts."""

    def __init__(self, name: str, folder: Path, terminal: Terminal, show: Show) -> None:
        self.name = name
        self.path = folder / f"{name}.log"
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._terminal = terminal
        self._show = show
        folder.mkdir(parents=True, exist_ok=True)
        self._file = self._fresh()
        self._style = COLOURS.get(name.partition("-")[0], "white")
        self._in_alarm = False

    def _fresh(self) -> TextIO:
        """An empty file; the one of the run before is kept beside it."""
        if self.path.exists():
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        return self.path.open("w", encoding="utf-8", errors="replace")

    def line(self, text: str) -> None:
        self.tail.append(text)
        if self._file.tell() > LARGEST_FILE:
            self._file.close()
            self._file = self._fresh()
        self._file.write(text + "\n")
        self._file.flush()
        if self._is_shown(text):
            prefix = Text(f"{self.name:<{PREFIX_WIDTH}}", style=self._style)
            self._terminal.print(
                prefix.append("| ", "dim").append_text(Text.from_ansi(text)), wrap=False
            )

    def _is_shown(self, text: str) -> bool:
        if self._show is not Show.IMPORTANT:
            return self._show is Show.ALL
        if ALARM.search(text):
            self._in_alarm = not HARMLESS.search(text)
        elif not text.startswith((" ", "\t")):
            self._in_alarm = False  # what is indented belongs to the line above, as a traceback
        return self._in_alarm

    def close(self) -> None:
        self._file.close()

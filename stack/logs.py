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
# Said by healthy processes all the time; it is in the files, and with `--logs all` here too.
CHATTER = {
    "triton": re.compile(r"I\d{4} |\s*$|\+-|\| "),
    "postgres": re.compile(r".*\bLOG: "),
    "broker": re.compile(r".* [*.#-] "),
    "worker": re.compile(r".*(INFO|\bTask \S+ (received|succeeded))|\s*$| [-*. ]|  \. |\["),
    "beat": re.compile(r".*INFO"),
    "node": re.compile(r".*(INFO|\bTask \S+ (received|succeeded))|\s*$| [-*. ]|  \. |\["),
    "api": re.compile(r".*(\[INFO\]|\bINFO\b)|\s*$"),
}
ALARM = re.compile(r"WARN|ERROR|CRITICAL|FATAL|PANIC|Traceback|Exception|[EWF]\d{4} ")


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
        self._style = COLOURS.get(name, "white")
        self._indented = False

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
            self._terminal.print(prefix.append("| ", "dim").append_text(Text.from_ansi(text)))

    def _is_shown(self, text: str) -> bool:
        if self._show is not Show.IMPORTANT:
            return self._show is Show.ALL
        if ALARM.search(text):
            self._indented = True  # a traceback's lines follow
            return True
        if self._indented and text.startswith((" ", "\t")):
            return True
        self._indented = False
        chatter = CHATTER.get(self.name)
        return not (chatter and chatter.match(text))

    def close(self) -> None:
        self._file.close()

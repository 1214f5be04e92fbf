"""What every command needs: where to talk to, how to print, and how to fail."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.text import Text

from nereid import config
from nereid.client import Client
from nereid.drawing import BAD, GOOD
from nereid.errors import NereidError, ProblemError

DONE, REFUSED, WRONG_USAGE, WAITING = 0, 1, 2, 3
"""Exit codes; the last: it was taken, and waits for a second person."""


PIPE_WIDTH = 120  # of output that goes to a file or a pipe, which have no width of their own


def _console(*, stderr: bool) -> Console:
    # No markup: what the server says may hold square brackets of its own.
    console = Console(stderr=stderr, highlight=False, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console


@dataclass
class Session:
    """Results go to standard output; progress and errors to standard error, so that pipes and
    ``--json`` carry results alone."""

    as_json: bool = False
    api: str | None = None
    token: str | None = None
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)
    cwd: Path = field(default_factory=Path.cwd)
    transport: httpx.BaseTransport | None = None  # tests answer in the server's place
    out: Console = field(default_factory=lambda: _console(stderr=False))
    err: Console = field(default_factory=lambda: _console(stderr=True))

    def credentials(self) -> config.Credentials:
        return config.resolve(self.api, self.token, env=self.env, cwd=self.cwd)

    def client(self) -> Client:
        credentials = self.credentials()
        return Client(credentials.api, credentials.token, transport=self.transport)

    def stack(self) -> config.Stack | None:
        return config.find_stack(self.env, self.cwd)

    def emit(self, document: Any) -> None:
        """The result as JSON, untouched by colours and line widths."""
        json.dump(document, self.out.file, indent=2, ensure_ascii=False)
        self.out.file.write("\n")

    def note(self, message: str) -> None:
        """One line of progress for people; silent where the output is for programs."""
        if not self.as_json:
            self.err.print(message, style="dim")

    def success(self, message: Text | str) -> None:
        self.err.print(Text.assemble(("✓ ", GOOD), message))

    def failure(self, message: Text | str) -> None:
        self.err.print(Text.assemble(("✗ ", BAD), message))

    def report(self, error: NereidError) -> None:
        if self.as_json:
            json.dump(error.as_document(), self.err.file, indent=2, ensure_ascii=False)
            self.err.file.write("\n")
            return
        if isinstance(error, ProblemError):
            self._report_problem(error)
            return
        first, *rest = str(error).splitlines() or [type(error).__name__]
        self.failure(Text(first, style="bold"))
        for line in rest:
            self.err.print(Text(f"  {line}", style="dim"))

    def _report_problem(self, error: ProblemError) -> None:
        self.failure(Text.assemble((error.title, "bold"), (f"  {error.status}", "dim")))
        if error.explanation:
            self.err.print(Text(f"  {error.explanation}"))
        for entry in error.errors:
            pointer = f"{entry.pointer}  " if entry.pointer else ""
            self.err.print(Text.assemble("  ", (pointer, BAD), entry.detail))
        if error.advice:
            self.err.print(Text(f"  {error.advice}", style="dim"))
        if error.status == httpx.codes.UNAUTHORIZED:
            advice = "The token is not valid (any more). Run `nereid login`, or restart the stack."
            self.err.print(Text(f"  {advice}", style="dim"))
        elif error.status >= httpx.codes.INTERNAL_SERVER_ERROR and error.request_id:
            self.err.print(Text(f"  request {error.request_id}", style="dim"))

    @property
    def interactive(self) -> bool:
        return not self.as_json and self.err.is_terminal and sys.stdin is not None

    @property
    def asks(self) -> bool:
        """Whether there is a person who can answer a question; a pipe cannot."""
        return self.interactive and sys.stdin.isatty()

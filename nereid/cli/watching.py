"""`--watch`: a command's picture, drawn again and again until Ctrl-C."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from nereid.cli.session import Session
from nereid.drawing import BAD
from nereid.errors import UnreachableError

EVERY_S = 1.0

WatchOption = Annotated[
    bool, typer.Option("--watch", "-w", help="Draw it again every second, until Ctrl-C.")
]


def drawn(session: Session, draw: Callable[[Session], None], watch: bool) -> None:
    """Draws once, or keeps the picture up to date; Ctrl-C is how that ends, and no failure.

    A control plane that does not answer meanwhile is told in the picture, and asked again.
    """
    if not watch:
        draw(session)
        return
    if session.as_json:
        raise typer.BadParameter("--watch draws for people: use --json in a loop of your own")
    try:
        with Live(console=session.out, auto_refresh=False) as live:
            while True:
                live.update(_picture(session, draw), refresh=True)
                time.sleep(EVERY_S)
    except KeyboardInterrupt:
        return


def _picture(session: Session, draw: Callable[[Session], None]) -> Text:
    paper = Console(
        file=io.StringIO(),
        width=session.out.width,
        force_terminal=session.out.is_terminal,
        color_system="truecolor" if session.out.is_terminal else None,
        highlight=False,
        markup=False,
    )
    try:
        draw(replace(session, out=paper))
    except UnreachableError as error:
        paper.print(Text(str(error), style=BAD))
    return Text.from_ansi(paper.file.getvalue())  # type: ignore[attr-defined]

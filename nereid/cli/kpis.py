"""`nereid kpis`: how well an endpoint is served, and where the time goes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from nereid.cli import kpi_pictures
from nereid.cli.app import command
from nereid.cli.completing import server_names
from nereid.cli.session import REFUSED, Session
from nereid.cli.traffic import EndpointArgument
from nereid.cli.watching import WatchOption, drawn
from nereid.times import FORMS, moment


@command(
    "kpis",
    "nereid kpis digits",
    "nereid kpis digits --window 1h --json",
    "nereid kpis digits --since 2026-11-26T10:00Z --until 2026-11-26T11:00Z",
    "nereid kpis digits --window 1h --try 1",
)
def kpis(
    session: Session,
    endpoint: EndpointArgument,
    window: Annotated[
        str | None,
        typer.Option(
            "--window", metavar="LENGTH", help="So long until now: 5m, 1h, 2d. [dim]Else 5m.[/]"
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help=f"In its place: {FORMS}.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="With --since. [dim]Else now.[/]")
    ] = None,
    watch: WatchOption = False,
    measured: Annotated[
        int | None,
        typer.Option(
            "--try",
            metavar="N",
            min=1,
            help="Measure the Nth of what would help: as it is, and changed, on a lab server.",
        ),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            help="Where. [dim]Else the one that is a lab.[/]",
            autocompletion=server_names,
        ),
    ] = None,
) -> None:
    """Show how well an endpoint is served, arm by arm and step by step, where time goes, and
    what would help.

    Figures are of whole minutes and kept for 14 days.
    """
    if until and not since:
        raise typer.BadParameter("--until, but since when? --since says it")
    if window and since:
        raise typer.BadParameter("say --window, or --since and --until, not both")
    if measured is not None:
        if since or watch:
            raise typer.BadParameter("--try measures what --window finds, and waits by itself")
        _try(session, endpoint, window, measured, server)
        return
    if server:
        raise typer.BadParameter("--server says where --try measures")
    begin, end = _moment(since), _moment(until)
    drawn(session, lambda on: _draw(on, endpoint, window, begin, end), watch)


def _draw(
    session: Session,
    endpoint: str,
    window: str | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    with session.client() as client:
        found = client.kpis(endpoint, window, since=since, until=until)
    if session.as_json:
        session.emit(found.raw)
        return
    session.out.print(kpi_pictures.headline(found))
    session.out.print()
    session.out.print(kpi_pictures.requests(found))
    if any(arm.model for arm in found.arms):
        session.out.print()
        session.out.print(kpi_pictures.models(found))
        session.out.print()
        for line in kpi_pictures.where_time_goes(found):
            session.out.print(line)
        session.out.print(kpi_pictures.network(found))
    if found.findings:
        session.out.print()
        for line in kpi_pictures.findings(found):
            session.out.print(line)


def _try(
    session: Session, endpoint: str, window: str | None, number: int, server: str | None
) -> None:
    """Measures one finding, and says what came of it; Ctrl-C leaves its runs going."""
    with session.client() as client:
        found = client.kpis(endpoint, window).findings
        if number > len(found):
            raise typer.BadParameter(f"--try {number}: {len(found)} would help")
        finding = found[number - 1]
        started = client.try_finding(endpoint, finding, server=server, window=window)
        session.note(
            f"{finding.change}: perf runs {started.before} and {started.after} on {started.server}"
        )
        with session.err.status(started.state) as status:
            done = client.wait_finding_try(
                endpoint,
                started.id,
                timeout=24 * 3600,
                on_progress=lambda seen: status.update(Text(f"{seen.state}: {seen.reason}")),
            )
    if session.as_json:
        session.emit(done.raw)
    else:
        session.out.print(kpi_pictures.tried(done))
    if done.state != "succeeded":
        raise typer.Exit(REFUSED)


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else moment(text, datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error

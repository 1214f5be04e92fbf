"""`nereid record`: what callers send, kept for perf runs."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from nereid.cli import render
from nereid.cli.app import command, group
from nereid.cli.completing import server_names
from nereid.cli.session import REFUSED, Session
from nereid.cli.traffic import EndpointArgument
from nereid.recording_resources import Recording

record = group(
    "record",
    """Keep what callers send to an endpoint, so that perf runs and tunes can send it again:
    --input recording:NAME.

    A recording ends by itself, with its last request, byte or second, and is deleted after 30
    days. Nobody is shown what is in it. Each of these takes --json.""",
    "nereid record start digits --requests 500 --percent 5",
    "nereid record list digits",
    "nereid perf run digits.v3 --input recording:digits-1",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The recording's name.")]


@command(
    "start",
    "nereid record start digits",
    "nereid record start digits --requests 500 --percent 5 --length 1h --name mondays",
    of=record,
)
def start(
    session: Session,
    endpoint: EndpointArgument,
    name: Annotated[
        str | None, typer.Option(help="What it is called. [dim]Else ENDPOINT-1, -2, …[/]")
    ] = None,
    requests: Annotated[
        int | None, typer.Option("--requests", "-n", min=1, help="At most. [dim]Else 200.[/]")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--bytes", min=1024, help="At most. [dim]Else 16 MiB.[/]")
    ] = None,
    length: Annotated[
        str | None, typer.Option(metavar="DURATION", help="At most: 10m. [dim]Else that.[/]")
    ] = None,
    percent: Annotated[
        float | None, typer.Option(min=0.01, max=100, help="Of the requests. [dim]Else all.[/]")
    ] = None,
    server: Annotated[
        str | None, typer.Option(help="One of the endpoint's.", autocompletion=server_names)
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the audit record.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
) -> None:
    """Begin to record an endpoint's requests, and wait until it is over.

    Ctrl-C leaves it going: `nereid record stop` ends it. Exits 1 when nothing was recorded.
    """
    with session.client() as client:
        found = client.start_recording(
            endpoint,
            name=name,
            requests=requests,
            bytes=size,
            length=length,
            percent=percent,
            server=server,
            reason=reason,
        )
        session.note(f"recording {found.name}: {endpoint} on {found.server}")
        if not detach:
            with session.err.status(Text(_said(found))) as status:
                found = client.wait_recording(
                    endpoint, found.name, on_progress=lambda seen: status.update(Text(_said(seen)))
                )
    _show(session, found)
    if found.state == "failed":
        raise typer.Exit(REFUSED)


@command("list", "nereid record list digits", of=record)
def list_recordings(session: Session, endpoint: EndpointArgument) -> None:
    """Show an endpoint's recordings, newest first."""
    with session.client() as client:
        found = client.recordings(endpoint, limit=None)
    if session.as_json:
        session.emit({"results": [one.raw for one in found]})
        return
    if not found:
        session.note(f"No recordings: nereid record start {endpoint}")
        return
    table = render.table(
        *("RECORDING", "STATE", "REQUESTS", "SIZE", "SERVER", "ASKED", "BY"),
        right=("REQUESTS", "SIZE"),
    )
    for one in found:
        table.add_row(
            Text(one.name, style="bold"),
            render.state(one.state),
            f"{one.requests:,}",
            render.size(one.size),
            one.server,
            render.ago(one.created_at),
            one.asked_by,
        )
    session.out.print(table)


@command("show", "nereid record show digits digits-1", of=record)
def show(session: Session, endpoint: EndpointArgument, name: Name) -> None:
    """Show how far a recording is, and what may be told of it."""
    with session.client() as client:
        _show(session, client.recording(endpoint, name))


@command("stop", "nereid record stop digits digits-1", of=record)
def stop(session: Session, endpoint: EndpointArgument, name: Name) -> None:
    """End a recording now; what it has is kept."""
    with session.client() as client:
        client.stop_recording(endpoint, name)
        found = client.wait_recording(endpoint, name)
    _show(session, found)


@command("delete", "nereid record delete digits digits-1", of=record)
def delete(session: Session, endpoint: EndpointArgument, name: Name) -> None:
    """Delete a recording with all that it holds."""
    with session.client() as client:
        client.delete_recording(endpoint, name)
    session.success(Text.assemble((f"recording {name}", "bold"), " is deleted"))


def _said(found: Recording) -> str:
    return f"{found.state}: {found.requests:,} requests, {render.size(found.size)}"


def _show(session: Session, found: Recording) -> None:
    if session.as_json:
        session.emit(found.raw)
        return
    line = Text.assemble((found.name, "bold"), " ", render.state(found.state))
    session.out.print(line.append(f"  {found.requests:,} requests, {render.size(found.size)}"))
    session.out.print(Text(found.reason, style="dim"))
    rows = found.facts.get("rows")
    if rows:
        said = f"rows of a request: {rows['mean']:g} in the mean, {rows['most']} at most"
        session.out.print(Text(f"{said}; {found.facts['seconds']:g} s from first to last"))
    for one in found.facts.get("inputs") or ():
        shape = ",".join(
            str(low) if low == high else f"{low}-{high}"
            for low, high in zip(one["least"], one["most"], strict=True)
        )
        session.out.print(Text(f"{one['name']} {one['datatype']}[{shape}]"))
    if found.state == "ready":
        command_line = f"nereid perf run {found.endpoint} --input recording:{found.name}"
        session.out.print(Text(command_line, style="dim"))

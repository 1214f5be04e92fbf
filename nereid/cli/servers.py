"""`nereid servers`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from nereid.administration import Server
from nereid.cli import render
from nereid.cli.app import command
from nereid.cli.completing import server_names
from nereid.cli.session import Session
from nereid.cli.watching import WatchOption, drawn


@command("servers", "nereid servers", "nereid servers local", "nereid servers --json")
def servers(
    session: Session,
    name: Annotated[
        str | None,
        typer.Argument(help="Only this server.", metavar="[NAME]", autocompletion=server_names),
    ] = None,
    watch: WatchOption = False,
) -> None:
    """Show the Tritons and what each one holds."""
    drawn(session, lambda on: _draw(on, name), watch)


def _draw(session: Session, name: str | None) -> None:
    with session.client() as client:
        found = [client.server(name)] if name else client.servers()
    if session.as_json:
        documents = [server.raw for server in found]
        session.emit(documents[0] if name else {"results": documents})
        return
    if not found:
        session.note("No server has registered yet. `make serve` starts one here.")
    for index, server in enumerate(found):
        if index:
            session.out.print()
        _show(session, server)


def _show(session: Session, server: Server) -> None:
    title = Text.assemble((server.name, "bold"), "  ")
    title.append_text(render.state(server.status))
    facts = [f"Triton {server.triton_version}" if server.triton_version else ""]
    facts += [server.accelerator.upper()]
    facts += [f"seen {render.ago(server.last_seen_at)}" if server.last_seen_at else "never seen"]
    title.append("  " + " · ".join(fact for fact in facts if fact), style="dim")
    session.out.print(title)
    session.out.print(
        Text(f"HTTP {server.http}  gRPC {server.grpc}  metrics {server.metrics}", style="dim")
    )
    if not server.models:
        session.out.print(Text("holds nothing", style="dim"))
        return
    table = render.table("MODEL", "VERSION", "STATE", right=("VERSION",))
    for held in sorted(server.models, key=lambda held: (held.name, held.version)):
        version = "policy" if held.version == POLICY_VERSION else held.version
        table.add_row(held.name, version, render.state(held.state))
    session.out.print(table)


# A router's reserved version: it carries the policy and receives every unversioned call.
POLICY_VERSION = "1000000000"

"""`nereid servers`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from nereid.administration import Server
from nereid.cli import render
from nereid.cli.app import command, listing
from nereid.cli.completing import server_names
from nereid.cli.session import Session
from nereid.cli.watching import WatchOption, drawn


class Switch(StrEnum):
    ON = "on"
    OFF = "off"


ServerArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The server.", autocompletion=server_names)
]


class NamesAreShown(TyperGroup):
    """`nereid servers lab-1` shows that server: a word that is no subcommand is a name."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands and not args[0].startswith("-"):
            args = ["show", *args]
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        [name] = (one for one in self.commands["show"].params if one.name == "name")
        return [*name.shell_complete(ctx, incomplete), *super().shell_complete(ctx, incomplete)]


@listing(
    "servers",
    "nereid servers",
    "nereid servers local --json",
    "nereid servers drain lab-1 --wait",
    "nereid servers remove lab-1",
    kind=NamesAreShown,
)
def servers(session: Session, watch: WatchOption = False) -> None:
    """Show the Tritons and what each one holds."""
    drawn(session, lambda on: _draw(on, None), watch)


@command("show", "nereid servers show local", "nereid servers local --watch", of=servers)
def show(session: Session, name: ServerArgument, watch: WatchOption = False) -> None:
    """Show one server and what it holds; `nereid servers NAME` in short."""
    drawn(session, lambda on: _draw(on, name), watch)


@command("lab", "nereid servers lab local on", "nereid servers lab lab-1 off", of=servers)
def lab(
    session: Session,
    name: ServerArgument,
    to: Annotated[Switch, typer.Argument(metavar="on|off")],
) -> None:
    """Say whether perf runs may put a server under load."""
    with session.client() as client:
        server = client.mark_server(name, lab=to is Switch.ON)
    if session.as_json:
        session.emit(server.raw)
        return
    what = "is a lab: perf runs may put it under load" if server.raw.get("lab") else "is no lab"
    session.success(Text.assemble((server.name, "bold"), f" {what}"))


@command("remove", "nereid servers remove lab-1", "nereid servers remove lab-1 --yes", of=servers)
def remove(
    session: Session,
    name: ServerArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Whatever it serves; with --reason.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit record.")] = "",
) -> None:
    """Forget a server that is gone for good.

    Exits 1 when its node still lives, or when it is the only one that holds an
    endpoint which serves. Its Triton is not stopped; a node that starts again registers again.
    """
    if force and not reason.strip():
        raise typer.BadParameter("--force needs a --reason: the audit record keeps it")
    with session.client() as client:
        server = client.server(name)
        if not yes:
            _ask(session, server)
        client.delete_server(server.name, force=force, reason=reason)
    if session.as_json:
        session.emit({"name": server.name, "removed": True})
        return
    session.success(Text.assemble((server.name, "bold"), " is removed"))


def _ask(session: Session, server: Server) -> None:
    """What it would do, and whether it shall; programs say --yes."""
    if not session.asks:
        raise typer.BadParameter("nobody can be asked here: say --yes")
    placed = [str(row.get("endpoint")) for row in server.raw.get("endpoints") or ()]
    if placed:
        session.note(f"Changes of {', '.join(placed)} wait for {server.name} no longer.")
    session.note("What was noted of it is forgotten; the audit record stays.")
    typer.confirm(f"Remove {server.name}?", abort=True, err=True)


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
    facts += [server.accelerator.upper(), "lab" if server.raw.get("lab") else ""]
    facts += [server.scheduling.lower() if server.scheduling != "Open" else ""]
    facts += [f"seen {render.ago(server.last_seen_at)}" if server.last_seen_at else "never seen"]
    title.append("  " + " · ".join(fact for fact in facts if fact), style="dim")
    session.out.print(title)
    session.out.print(
        Text(f"HTTP {server.http}  gRPC {server.grpc}  metrics {server.metrics}", style="dim")
    )
    if labels := {k: v for k, v in server.labels.items() if k not in BUILT_IN and v}:
        listed = ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))
        session.out.print(Text(f"labels {listed}", style="dim"))
    if memory := _memory(server):
        session.out.print(Text(memory, style="dim"))
    for one in server.left:
        session.out.print(Text(f"left: {one.get('endpoint')}: {one.get('reason')}"))
    if server.backends is not None:
        listed = ", ".join(str(one) for one in server.backends) or "none"
        session.out.print(Text(f"backends {listed}", style="dim"))
    render.drift(session.out, server.raw.get("drift") or ())
    if not server.models:
        session.out.print(Text("holds nothing", style="dim"))
        return
    table = render.table("MODEL", "VERSION", "STATE", right=("VERSION",))
    for held in sorted(server.models, key=lambda held: (held.name, held.version)):
        version = "policy" if held.version == POLICY_VERSION else held.version
        table.add_row(held.name, version, render.state(held.state))
    session.out.print(table)


BUILT_IN = ("server", "accelerator", "hardware", "lab")
"""Labels that say what stands there already."""


def _memory(server: Server) -> str:
    """What its Triton takes of what it may, where that is known."""
    memory = server.raw.get("memory") or {}
    parts = []
    for kind, used, limit in (("memory", "used", "limit"), ("GPU", "gpu_used", "gpu_limit")):
        if (taken := memory.get(used)) is not None:
            most = memory.get(limit)
            of = f" of {render.size(most)}" if most else ""
            parts.append(f"{kind} {render.size(taken)}{of}")
    return "  ".join(parts)


# A router's reserved version: it carries the policy and receives every unversioned call.
POLICY_VERSION = "1000000000"

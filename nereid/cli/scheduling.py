"""`nereid servers cordon`, `uncordon`, `drain` and `label`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from nereid.administration import Server
from nereid.cli.app import command
from nereid.cli.servers import ServerArgument, servers
from nereid.cli.session import REFUSED, Session
from nereid.client import Client
from nereid.errors import WaitTimeoutError

ReasonOption = Annotated[
    str, typer.Option("--reason", help="Why, for the audit record and whoever looks.")
]


@command(
    "cordon",
    "nereid servers cordon lab-1",
    "nereid servers cordon lab-1 --reason 'kernel update at noon'",
    of=servers,
)
def cordon(session: Session, name: ServerArgument, reason: ReasonOption = "") -> None:
    """Place nothing new on a server; what is there stays."""
    with session.client() as client:
        _say(session, client.cordon_server(name, reason=reason))


@command("uncordon", "nereid servers uncordon lab-1", of=servers)
def uncordon(session: Session, name: ServerArgument, reason: ReasonOption = "") -> None:
    """Let endpoints be placed on a server again; a drain ends.

    What is meant to be on every server comes back; replicas that moved stay where they are.
    """
    with session.client() as client:
        _say(session, client.uncordon_server(name, reason=reason))


@command(
    "drain",
    "nereid servers drain lab-1 --wait",
    "nereid servers drain lab-1 --reason 'new disk'",
    of=servers,
)
def drain(
    session: Session,
    name: ServerArgument,
    reason: ReasonOption = "",
    wait: Annotated[bool, typer.Option("--wait", help="Until it holds nothing.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="How long to wait.", min=0)
    ] = 300,
) -> None:
    """Move what a server holds to others, as far as they can take it, and place nothing new there.

    Nothing leaves before it serves elsewhere. `uncordon` is the way back. Waiting exits 1 when the
    time is up.
    """
    with session.client() as client:
        server = client.drain_server(name, reason=reason)
        if wait:
            server = _wait(session, client, server, timeout)
        _say(session, server)


@command(
    "label",
    "nereid servers label lab-1 zone=a tier=gpu",
    "nereid servers label lab-1 zone-",
    of=servers,
)
def label(
    session: Session,
    name: ServerArgument,
    labels: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE", help="A label; NAME- takes one back.")
    ],
) -> None:
    """Set labels of a server, over those that its node gives it."""
    with session.client() as client:
        server = client.label_server(name, dict(_label(text) for text in labels))
    if session.as_json:
        session.emit(server.raw)
        return
    said = ", ".join(f"{key}={value}" for key, value in sorted(server.labels.items()))
    session.success(Text.assemble((server.name, "bold"), f"  {said}"))


def _label(text: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    if equals:
        return key, value
    if text.endswith("-"):
        return text[:-1], None
    raise typer.BadParameter(f"{text!r}: a label is NAME=VALUE, and NAME- takes one back")


def _wait(session: Session, client: Client, server: Server, timeout: float) -> Server:
    with session.err.status(Text(f"{server.name}: draining")) as status:

        def show(found: Server) -> None:
            left = ", ".join(str(one.get("endpoint")) for one in found.left)
            status.update(Text(f"{found.name}: {left or 'nothing'} left"))

        try:
            return client.wait_drained(server.name, timeout=timeout, on_progress=show)
        except WaitTimeoutError as error:
            session.report(error)
            raise typer.Exit(REFUSED) from error


def _say(session: Session, server: Server) -> None:
    if session.as_json:
        session.emit(server.raw)
        return
    says = {
        "Open": "is open: endpoints may be placed there",
        "Cordoned": "is cordoned: nothing new is placed there",
        "Drained": "is drained: it holds nothing; stop it, and remove it",
        "Draining": "is being drained; left on it:",
    }
    session.success(Text.assemble((server.name, "bold"), f" {says.get(server.scheduling, '')}"))
    for one in server.left:
        session.note(f"{one.get('endpoint')}: {one.get('reason')}")

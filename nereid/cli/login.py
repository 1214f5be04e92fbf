"""`nereid login` and `nereid logout`."""

from __future__ import annotations

import httpx
import typer

from nereid import config
from nereid.cli.app import command
from nereid.cli.session import Session
from nereid.client import Client
from nereid.errors import ProblemError


@command(
    "login",
    "nereid login --api https://nereid.example.com",
    "NEREID_TOKEN=nrd_... nereid login --api https://nereid.example.com",
)
def login(session: Session) -> None:
    """Remember a control plane and a token for this user.

    Asks for the token when neither --token nor NEREID_TOKEN has it, tries it, and stores it in a
    file that only you can read. `nereid logout` forgets it.
    """
    api = session.api or session.env.get("NEREID_API")
    if not api:
        stack = session.stack()
        default = stack.api if stack and stack.api else None
        if not session.interactive and default is None:
            raise typer.BadParameter("name the control plane with --api URL")
        api = typer.prompt("Control plane", default=default, err=True)
    token = session.token or session.env.get("NEREID_TOKEN")
    if not token:
        token = typer.prompt("Token", hide_input=True, err=True)
    address = config.origin(api)
    with Client(address, token, transport=session.transport) as client:
        models = _models(client)
    path = config.write_login(address, token, session.env)
    if session.as_json:
        session.emit({"api": address, "file": str(path), "models": models})
        return
    session.success(f"Logged in to {address}; kept in {path}")


def _models(client: Client) -> int:
    """How many models the token shows; one that is for an endpoint alone shows none."""
    try:
        return len(client.models())
    except ProblemError as error:
        if error.status != httpx.codes.FORBIDDEN:
            raise
        return 0


@command("logout", "nereid logout")
def logout(session: Session) -> None:
    """Forget the control plane that `nereid login` stored.

    Afterwards the stack that runs here is used again. The token itself stays valid until it is
    revoked on the server.
    """
    existed = config.forget_login(session.env)
    if session.as_json:
        session.emit({"forgotten": existed})
    elif existed:
        session.success("Forgotten.")
    else:
        session.note("Nobody was logged in.")

"""`nereid tokens`: list, create, revoke."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import typer
from rich.text import Text

from nereid.administration import Token
from nereid.cli import render
from nereid.cli.app import command, group
from nereid.cli.session import Session
from nereid.errors import NereidError

ROLES = ("viewer", "reporter", "publisher", "operator", "admin")
STATES = ("live", "expired", "revoked")

tokens = group(
    "tokens",
    """What programs show to the API: made with a role and an end, revoked at once.

    Each of the three takes --json.""",
    "nereid tokens list",
    "nereid tokens create nightly --role publisher --only digits --expires 30d",
    "nereid tokens revoke nightly",
)


@command("list", "nereid tokens list", "nereid tokens list --state live --json", of=tokens)
def list_tokens(
    session: Session,
    state: Annotated[
        str | None, typer.Option("--state", help=f"Only those: {', '.join(STATES)}.")
    ] = None,
) -> None:
    """Show your tokens, the newest first; an admin sees everybody's."""
    if state is not None and state not in STATES:
        raise typer.BadParameter(f"{state!r}: a token is {', '.join(STATES)}")
    with session.client() as client:
        found = client.tokens(state)
    if session.as_json:
        session.emit({"results": [token.raw for token in found]})
        return
    if not found:
        session.note("No tokens. `nereid tokens create NAME --role ROLE` makes one.")
        return
    table = render.table("TOKEN", "OF", "ALLOWS", "STATE", "USED", "ENDS", "ID")
    for token in found:
        table.add_row(
            Text(token.name, style="bold"),
            token.user,
            _allows(token),
            render.state(token.state),
            render.ago(token.last_used_at) if token.last_used_at else "never",
            token.expires_at[:10] or "never",
            Text(token.id, style="dim"),
        )
    session.out.print(table)


@command(
    "create",
    "nereid tokens create nightly --role publisher --only digits",
    "nereid tokens create dashboard --role viewer --expires never",
    of=tokens,
)
def create(
    session: Session,
    name: Annotated[str, typer.Argument(help="What will use it.")],
    role: Annotated[str, typer.Option("--role", help=f"The most it may do: {', '.join(ROLES)}.")],
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Only this model or endpoint; repeatable."),
    ] = None,
    expires: Annotated[
        str, typer.Option("--expires", metavar="DURATION", help="Like 12h or 30d, or never.")
    ] = "90d",
) -> None:
    """Make a token of yours, and print it: it is shown this once.

    It never allows more than you may do yourself. The token alone goes to standard output.
    """
    if role not in ROLES:
        raise typer.BadParameter(f"{role!r}: a role is {', '.join(ROLES)}")
    lasts = _lifetime(expires)
    with session.client() as client:
        made = client.create_token(name, role, names=only, lasts=lasts)
    if session.as_json:
        session.emit(made.raw)
        return
    session.success(Text.assemble((made.name, "bold"), f" allows {_allows(made)}"))
    session.note("Copy it now: it is shown this once, and only its hash is kept.")
    session.out.print(made.secret, soft_wrap=True)


@command(
    "revoke",
    "nereid tokens revoke nightly",
    "nereid tokens revoke 4f3c6b1e-8a52-4c0e-9d2f-6f5f1e0f9a11",
    of=tokens,
)
def revoke(
    session: Session,
    which: Annotated[
        str,
        typer.Argument(metavar="TOKEN", help="Its name, or its id where several are named so."),
    ],
) -> None:
    """Make a token useless: whatever uses it is refused from the next request on."""
    with session.client() as client:
        found = [one for one in client.tokens() if which in (one.id, one.name)]
        live = [one for one in found if one.state == "live"] or found
        if not live:
            raise NereidError(f"you have no token {which!r}\nLook with `nereid tokens list`.")
        if len(live) > 1:
            ids = "\n".join(f"{one.id}  of {one.user}" for one in live)
            raise NereidError(f"{len(live)} tokens are named {which!r}: name one by its id\n{ids}")
        client.revoke_token(live[0].id)
    if session.as_json:
        session.emit({"id": live[0].id, "name": live[0].name, "state": "revoked"})
        return
    session.success(f"{live[0].name} is revoked")


def _allows(token: Token) -> str:
    return f"{token.role} of {', '.join(token.names)}" if token.names else token.role


def _lifetime(text: str) -> timedelta | None:
    if text == "never":
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,4})([hd])", text)
    if not found:
        raise typer.BadParameter(f"{text!r}: say it like 12h or 30d, or never")
    return timedelta(**{{"h": "hours", "d": "days"}[found[2]]: int(found[1])})

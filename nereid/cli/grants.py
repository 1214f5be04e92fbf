"""`nereid grants`: roles on one model or endpoint."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from nereid.cli import render
from nereid.cli.app import command, group
from nereid.cli.completing import usernames
from nereid.cli.session import Session
from nereid.cli.users import RoleArgument, known
from nereid.errors import NereidError

KINDS = ("model", "endpoint")

grants = group(
    "grants",
    """Roles on one model or endpoint, for a person or a group: for admins.

    Each takes --json. The name need not exist yet: who has the grant may make it.""",
    "nereid grants list --user ada",
    "nereid grants give operator endpoint digits --group vision",
    "nereid grants take operator endpoint digits --group vision",
)

KindArgument = Annotated[str, typer.Argument(metavar="KIND", help=f"{' or '.join(KINDS)}.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The model's or endpoint's.")]
UserOption = Annotated[
    str | None, typer.Option("--user", help="The person.", autocompletion=usernames)
]
GroupOption = Annotated[str | None, typer.Option("--group", help="Or the group.")]


@command("list", "nereid grants list", "nereid grants list --kind endpoint --json", of=grants)
def list_grants(
    session: Session,
    user: UserOption = None,
    team: GroupOption = None,
    role: Annotated[str | None, typer.Option("--role", help="Only these.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="model or endpoint.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="On this name.")] = None,
) -> None:
    """Show who has which role on what, the newest first."""
    if role is not None:
        known(role)
    if kind is not None:
        _kind(kind)
    with session.client() as client:
        found = client.grants(user=user, group=team, role=role, kind=kind, name=name)
    if session.as_json:
        session.emit({"results": [one.raw for one in found]})
        return
    if not found:
        session.note("No grants. `nereid grants give ROLE KIND NAME --user USER` makes one.")
        return
    table = render.table("FOR", "ROLE", "ON", "GIVEN BY", "ID")
    for one in found:
        table.add_row(
            Text(one.holder, style="bold"),
            one.role,
            f"{one.kind} {one.name}",
            one.created_by,
            Text(one.id, style="dim"),
        )
    session.out.print(table)


@command(
    "give",
    "nereid grants give operator endpoint digits --group vision",
    "nereid grants give publisher model digits --user ada",
    of=grants,
)
def give(
    session: Session,
    role: RoleArgument,
    kind: KindArgument,
    name: NameArgument,
    user: UserOption = None,
    team: GroupOption = None,
) -> None:
    """Give a person or a group a role on one name."""
    _checked(role, kind, user, team)
    with session.client() as client:
        made = client.give_grant(role, kind, name, user=user, group=team)
    if session.as_json:
        session.emit(made.raw)
        return
    session.success(Text.assemble((made.holder, "bold"), f" is {role} of {kind} {name}"))


@command("take", "nereid grants take operator endpoint digits --group vision", of=grants)
def take(
    session: Session,
    role: RoleArgument,
    kind: KindArgument,
    name: NameArgument,
    user: UserOption = None,
    team: GroupOption = None,
) -> None:
    """Take that away again."""
    _checked(role, kind, user, team)
    with session.client() as client:
        found = client.grants(user=user, group=team, role=role, kind=kind, name=name)
        if not found:
            holder = f"group {team}" if team else user
            raise NereidError(
                f"{holder} has no grant as {role} of {kind} {name}\nLook with `nereid grants list`."
            )
        client.take_grant(found[0].id)
    if session.as_json:
        session.emit(found[0].raw)
        return
    words = f" is no longer {role} of {kind} {name}"
    session.success(Text.assemble((found[0].holder, "bold"), words))


def _kind(kind: str) -> None:
    if kind not in KINDS:
        raise typer.BadParameter(f"{kind!r}: it is {' or '.join(KINDS)}")


def _checked(role: str, kind: str, user: str | None, team: str | None) -> None:
    known(role)
    _kind(kind)
    if (user is None) == (team is None):
        raise typer.BadParameter("name one of --user and --group")

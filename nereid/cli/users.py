"""`nereid users`: who there is, and what each may do."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from nereid.administration import User
from nereid.cli import render
from nereid.cli.app import command, group
from nereid.cli.completing import usernames
from nereid.cli.session import Session
from nereid.cli.tokens import ROLES

users = group(
    "users",
    """People and their roles: for admins.

    Each takes --json. Rights on one model or endpoint alone are `nereid grants`.""",
    "nereid users list",
    "nereid users give ada publisher",
    "nereid users set eve --inactive",
)

Username = Annotated[
    str,
    typer.Argument(metavar="USER", help="The name they log in by.", autocompletion=usernames),
]
RoleArgument = Annotated[str, typer.Argument(metavar="ROLE", help=f"{', '.join(ROLES)}.")]


@command("list", "nereid users list", "nereid users list --role admin --json", of=users)
def list_users(
    session: Session,
    role: Annotated[str | None, typer.Option("--role", help="Only who has it.")] = None,
    team: Annotated[str | None, typer.Option("--group", help="Only who is in it.")] = None,
    search: Annotated[str | None, typer.Option("--search", help="A word of the name.")] = None,
) -> None:
    """Show who there is, with roles and groups."""
    if role is not None:
        known(role)
    with session.client() as client:
        found = client.users(role=role, group=team, search=search)
    if session.as_json:
        session.emit({"results": [one.raw for one in found]})
        return
    if not found:
        session.note("Nobody fits.")
        return
    table = render.table("USER", "NAME", "MAY", "GROUPS", "LAST LOGIN", "")
    for one in found:
        table.add_row(
            Text(one.username, style="bold"),
            one.name,
            may(one),
            ", ".join(one.groups),
            render.ago(one.last_login) if one.last_login else "never",
            "" if one.active else Text("switched off", style="dim"),
        )
    session.out.print(table)


@command("give", "nereid users give ada publisher", of=users)
def give(session: Session, username: Username, role: RoleArgument) -> None:
    """Give a person a role beside those they have."""
    known(role)
    with session.client() as client:
        _told(session, client.give_role(username, role))


@command("take", "nereid users take ada publisher", of=users)
def take(session: Session, username: Username, role: RoleArgument) -> None:
    """Take a role away; it is gone from the person's tokens too."""
    known(role)
    with session.client() as client:
        _told(session, client.take_role(username, role))


@command(
    "set",
    "nereid users set eve --inactive",
    "nereid users set ada --publish-code --console",
    of=users,
)
def change(
    session: Session,
    username: Username,
    active: Annotated[
        bool | None,
        typer.Option("--active/--inactive", help="Off: sessions and tokens end at once."),
    ] = None,
    console: Annotated[
        bool | None, typer.Option("--console/--no-console", help="May log in there.")
    ] = None,
    publish_code: Annotated[
        bool | None,
        typer.Option("--publish-code/--no-publish-code", help="May push what is run."),
    ] = None,
) -> None:
    """Switch an account, its way into the console, or the right to publish code on or off."""
    said = {"active": active, "console": console, "publish_code": publish_code}
    changes: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    if not changes:
        raise typer.BadParameter("say what changes, such as --inactive")
    with session.client() as client:
        _told(session, client.update_user(username, **changes))


def known(role: str) -> str:
    """The role, if it is one."""
    if role not in ROLES:
        raise typer.BadParameter(f"{role!r}: a role is {', '.join(ROLES)}")
    return role


def may(user: User) -> str:
    """What a person may do everywhere, in words."""
    if user.all_rights:
        return "everything"
    also = ("publish code",) if user.publish_code else ()
    return ", ".join((*user.roles, *also)) or "no role"


def _told(session: Session, user: User) -> None:
    if session.as_json:
        session.emit(user.raw)
        return
    off = "" if user.active else ", switched off"
    console = "" if user.console else ", not in the console"
    session.success(Text.assemble((user.username, "bold"), f": {may(user)}{console}{off}"))

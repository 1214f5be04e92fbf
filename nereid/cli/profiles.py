"""`nereid profiles`: list, show, put, delete."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from nereid.cli import render
from nereid.cli.app import command, group
from nereid.cli.completing import profile_names
from nereid.cli.document_file import read_document
from nereid.cli.revised import present, revision_of, say_deleted, say_put
from nereid.cli.session import Session
from nereid.resources import Profile

profiles = group(
    "profiles",
    """How versions are served: batches, instances and the rest, by name.

    Each of these takes --json.""",
    "nereid profiles list",
    "nereid profiles show realtime > patient.json",
    "nereid profiles put patient patient.json",
    "nereid profiles delete patient",
)

Name = Annotated[
    str,
    typer.Argument(metavar="PROFILE", help="The profile's name.", autocompletion=profile_names),
]


@command("list", "nereid profiles list", "nereid profiles list --json", of=profiles)
def list_profiles(session: Session) -> None:
    """Show every serving profile: those that come with Nereid, and your own."""
    with session.client() as client:
        found = client.profiles()
    if session.as_json:
        session.emit({"results": [one.raw for one in found]})
        return
    table = render.table("PROFILE", "REVISION", "CHANGED", "BY", "FOR")
    for one in found:
        table.add_row(
            Text(one.name, style="bold"),
            revision_of(one),
            render.ago(one.changed_at) if one.changed_at else "",
            one.changed_by,
            one.description,
        )
    session.out.print(table)


@command(
    "show",
    "nereid profiles show realtime",
    "nereid profiles show realtime > mine.json",
    of=profiles,
)
def show(session: Session, name: Name) -> None:
    """Print a profile as it can be put again, and what the linter finds; --json has all of it."""
    with session.client() as client:
        found = client.profile(name)
    if session.as_json:
        session.emit(found.raw)
        return
    session.note(f"{found.name}, {revision_of(found)}")
    _tell(session, found)
    session.emit(found.document)


@command(
    "put",
    "nereid profiles put patient patient.toml",
    "nereid profiles show realtime | nereid profiles put mine -",
    of=profiles,
)
def put(
    session: Session,
    name: Name,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="TOML (*.toml) or JSON; - reads standard input.")
    ],
) -> None:
    """Add a profile, or make a new revision of it.

    What serves stays as it is: an endpoint's next policy is compiled with the new revision.
    """
    document = read_document(file, "profile", "a JSON object, or a TOML file")
    with session.client() as client:
        before = present(lambda: client.profile(name))
        done = client.put_profile(name, document, etag=before.etag if before else None)
    if session.as_json:
        session.emit(done.raw)
        return
    say_put(session, before, done)
    _tell(session, done)


@command("delete", "nereid profiles delete patient", of=profiles)
def delete(session: Session, name: Name) -> None:
    """Remove a profile of your own. One that a version names is refused."""
    with session.client() as client:
        client.delete_profile(name)
    say_deleted(session, name)


def _tell(session: Session, profile: Profile) -> None:
    for finding in profile.findings:
        session.err.print(render.found(finding))

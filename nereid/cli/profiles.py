"""`nereid profiles`: list, show, put, delete."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.text import Text

from nereid.cli import render
from nereid.cli.app import command, group
from nereid.cli.completing import profile_names
from nereid.cli.session import Session
from nereid.client import Client
from nereid.errors import NereidError, ProblemError
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
            _revision(one),
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
    session.note(f"{found.name}, {_revision(found)}")
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
    document = _document(file)
    with session.client() as client:
        before = _present(client, name)
        done = client.put_profile(name, document, etag=before.etag if before else None)
    if session.as_json:
        session.emit(done.raw)
        return
    same = before is not None and before.revision == done.revision
    session.success(
        Text.assemble((done.name, "bold"), f" is at {_revision(done)}", " already" if same else "")
    )
    _tell(session, done)


@command("delete", "nereid profiles delete patient", of=profiles)
def delete(session: Session, name: Name) -> None:
    """Remove a profile of your own. One that a version names is refused."""
    with session.client() as client:
        client.delete_profile(name)
    if session.as_json:
        session.emit({"name": name, "deleted": True})
        return
    session.success(f"{name} is deleted")


def _revision(profile: Profile) -> str:
    return "built in" if profile.built_in else f"revision {profile.revision}"


def _tell(session: Session, profile: Profile) -> None:
    for finding in profile.findings:
        session.err.print(render.found(finding))


def _present(client: Client, name: str) -> Profile | None:
    try:
        return client.profile(name)
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        return None


def _document(file: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        document = tomllib.loads(text) if file.endswith(".toml") else json.loads(text)
        json.dumps(document, allow_nan=False)  # TOML knows dates, which no profile has
    except (OSError, ValueError, TypeError) as error:
        raise NereidError(f"{file} cannot be read as a profile: {error}") from error
    if not isinstance(document, dict):
        raise NereidError(f"{file} is no profile: that is a JSON object, or a TOML file")
    return document

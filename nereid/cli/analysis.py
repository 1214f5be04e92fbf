"""`nereid analysis`: what rollouts measure."""

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
from nereid.cli.completing import template_names
from nereid.cli.session import Session
from nereid.client import Client
from nereid.errors import NereidError, ProblemError
from nereid.rollouts import AnalysisTemplate

analysis = group(
    "analysis",
    """What rollouts measure, and how sure they have to be.

    Each of these takes --json.""",
    "nereid analysis templates",
    "nereid analysis template get default > mine.json",
    "nereid analysis template put mine mine.json",
    "nereid analysis simulate mine --canary-error 0.02 --baseline-error 0.01",
)

template = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
analysis.add_typer(template, name="template", help="One template: get, put, delete.")

Name = Annotated[
    str,
    typer.Argument(metavar="TEMPLATE", help="Its name.", autocompletion=template_names),
]


@command("templates", "nereid analysis templates", "nereid analysis templates --json", of=analysis)
def templates(session: Session) -> None:
    """Show every analysis template: the one that comes with Nereid, and your own."""
    with session.client() as client:
        found = client.analysis_templates()
    if session.as_json:
        session.emit({"results": [one.raw for one in found]})
        return
    table = render.table("TEMPLATE", "REVISION", "CHANGED", "BY", "ALPHA", "METRICS")
    for one in found:
        metrics = one.document.get("metrics") or ()
        table.add_row(
            Text(one.name, style="bold"),
            _revision(one),
            render.ago(one.changed_at) if one.changed_at else "",
            one.changed_by,
            f"{one.document.get('alpha', '')}",
            ", ".join(f"{metric.get('name')} ({metric.get('kind')})" for metric in metrics),
        )
    session.out.print(table)


@command("get", "nereid analysis template get default > mine.json", of=template)
def get(session: Session, name: Name) -> None:
    """Print a template as it can be put again, every value in force; --json has all of it."""
    with session.client() as client:
        found = client.analysis_template(name)
    if session.as_json:
        session.emit(found.raw)
        return
    session.note(f"{found.name}, {_revision(found)}")
    session.emit(found.document)


@command(
    "put",
    "nereid analysis template put mine mine.json",
    "nereid analysis template get default | nereid analysis template put mine -",
    of=template,
)
def put(
    session: Session,
    name: Name,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="TOML (*.toml) or JSON; - reads standard input.")
    ],
) -> None:
    """Add a template, or make a new revision of it. Runs that are under way go on by the old one.

    One named default takes the place of the one that comes with Nereid.
    """
    document = _document(file)
    with session.client() as client:
        before = _present(client, name)
        done = client.put_analysis_template(name, document, etag=before.etag if before else None)
    if session.as_json:
        session.emit(done.raw)
        return
    same = before is not None and before.revision == done.revision
    session.success(
        Text.assemble((done.name, "bold"), f" is at {_revision(done)}", " already" if same else "")
    )


@command("delete", "nereid analysis template delete mine", of=template)
def delete(session: Session, name: Name) -> None:
    """Remove a template of your own; runs keep what they began with."""
    with session.client() as client:
        client.delete_analysis_template(name)
    if session.as_json:
        session.emit({"name": name, "deleted": True})
        return
    session.success(f"{name} is deleted")


def _revision(one: AnalysisTemplate) -> str:
    return "built in" if one.built_in else f"revision {one.revision}"


def _present(client: Client, name: str) -> AnalysisTemplate | None:
    """The template to change; what comes with Nereid is not changed, but put aside."""
    try:
        found = client.analysis_template(name)
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        return None
    return None if found.built_in else found


def _document(file: str) -> dict[str, Any]:
    where = "standard input" if file == "-" else file
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        document = tomllib.loads(text) if file.endswith(".toml") else json.loads(text)
        json.dumps(document, allow_nan=False)  # TOML knows dates, which no template has
    except (OSError, ValueError, TypeError) as error:
        raise NereidError(f"{where} cannot be read as a template: {error}") from error
    if not isinstance(document, dict):
        raise NereidError(f"{where} is no template: that is a JSON object, or a TOML file")
    return document

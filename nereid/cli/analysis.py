"""`nereid analysis`: what rollouts measure."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from nereid.cli import render
from nereid.cli.app import command, group
from nereid.cli.completing import template_names
from nereid.cli.document_file import read_document
from nereid.cli.revised import present, revision_of, say_deleted, say_put
from nereid.cli.session import Session
from nereid.client import Client
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
            revision_of(one),
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
    session.note(f"{found.name}, {revision_of(found)}")
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
    document = read_document(file, "template", "a JSON object, or a TOML file")
    with session.client() as client:
        before = _changed(client, name)
        done = client.put_analysis_template(name, document, etag=before.etag if before else None)
    if session.as_json:
        session.emit(done.raw)
        return
    say_put(session, before, done)


@command("delete", "nereid analysis template delete mine", of=template)
def delete(session: Session, name: Name) -> None:
    """Remove a template of your own; runs keep what they began with."""
    with session.client() as client:
        client.delete_analysis_template(name)
    say_deleted(session, name)


def _changed(client: Client, name: str) -> AnalysisTemplate | None:
    """The template to change; what comes with Nereid is not changed, but put aside."""
    found = present(lambda: client.analysis_template(name))
    return None if found is None or found.built_in else found

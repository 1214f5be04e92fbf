"""`nereid place`: which servers an endpoint is on."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from nereid.cli import render
from nereid.cli.app import command
from nereid.cli.document_file import option_document
from nereid.cli.session import Session
from nereid.cli.traffic import EndpointArgument
from nereid.drawing import BAD
from nereid.placing import Placing

SHAPE = 'an object such as {"servers": {"tier": "gpu"}, "replicas": 2, "spread": "zone"}'


@command(
    "place",
    "nereid place digits",
    "nereid place digits --on tier=gpu --replicas 2 --spread zone --dry-run",
    "nereid place digits --on zone=a,b",
    "nereid place digits --file placement.json",
    "nereid place digits --everywhere",
)
def place(
    session: Session,
    endpoint: EndpointArgument,
    on: Annotated[
        list[str] | None,
        typer.Option(
            "--on", metavar="LABEL=VALUE", help="Servers with that label; a comma is an or."
        ),
    ] = None,
    replicas: Annotated[
        int | None, typer.Option("--replicas", help="On how many. [dim]Else on all of them.[/]")
    ] = None,
    spread: Annotated[
        str | None, typer.Option("--spread", metavar="LABEL", help="Replicas lie apart by it.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", metavar="FILE", help=f"In place of those: {SHAPE}")
    ] = None,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="On every server.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would be.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit record.")] = "",
) -> None:
    """Say which servers an endpoint shall be on; alone, show where it is and why not elsewhere.

    It moves without a failed request: nobody is left before the others serve.
    """
    document = _document(on or (), replicas, spread, file, everywhere)
    with session.client() as client:
        if dry_run:
            if document is None:
                raise typer.BadParameter("--dry-run, but of which placement?")
            found = client.plan_placement(endpoint, document)
        elif everywhere:
            found = client.delete_placement(endpoint, reason=reason)
        elif document is not None:
            found = client.put_placement(endpoint, document, reason=reason)
        else:
            found = client.placement(endpoint)
    if session.as_json:
        session.emit(found.raw)
        return
    _show(session, endpoint, found)


def _document(
    on: list[str] | tuple[()],
    replicas: int | None,
    spread: str | None,
    file: str | None,
    everywhere: bool,
) -> dict[str, Any] | None:
    """The placement that is asked for; None where none is."""
    said = bool(on or replicas is not None or spread)
    if (file is not None) + everywhere + said > 1:
        raise typer.BadParameter("say --everywhere, --file, or the placement itself: one of them")
    if file is not None:
        return option_document(file, "placement", SHAPE)
    if everywhere:
        return {}
    if not said:
        return None
    document: dict[str, Any] = {"servers": {}}
    for text in on:
        label, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"{text!r}: a label is written NAME=VALUE")
        values = value.split(",")
        document["servers"][label] = {"in": values} if len(values) > 1 else value
    if replicas is not None:
        document["replicas"] = replicas
    if spread:
        document["spread"] = spread
    return document


def _show(session: Session, endpoint: str, found: Placing) -> None:
    words = str(found.raw.get("words") or "")
    title = Text.assemble((endpoint, "bold"), f"  on {', '.join(found.servers) or 'no server'}")
    session.out.print(title.append(f"  {words}", style="dim") if words else title)
    if found.problem:
        session.out.print(Text(found.problem, style=BAD))
    session.out.print(render.placing(found.raw))

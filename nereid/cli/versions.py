"""`nereid versions`: versions of all models, by state, by whom, by tag."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from nereid.cli import render
from nereid.cli.app import command
from nereid.cli.completing import model_names
from nereid.cli.session import Session
from nereid.resources import Version

SHOWN = 50


@command(
    "versions",
    "nereid versions --state rejected",
    "nereid versions --by ada --tag stage:trial",
    "nereid versions --model digits --metric accuracy>=0.95 --json",
)
def versions(
    session: Session,
    state: Annotated[
        str | None, typer.Option("--state", help="Such as rejected, ready or archived.")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who pushed it.")] = None,
    tag: Annotated[
        str | None, typer.Option("--tag", metavar="KEY[:VALUE]", help="That have this tag.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Of this model alone.", autocompletion=model_names),
    ] = None,
    framework: Annotated[str | None, typer.Option("--framework", help="Such as onnx.")] = None,
    alias: Annotated[
        str | None, typer.Option("--alias", help="That have this alias, such as champion.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="TEST", help="Such as accuracy>=0.95.")
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", metavar="TEXT", help="In the names of models.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="How many, the newest first.")
    ] = SHOWN,
    everything: Annotated[
        bool, typer.Option("--all", help="All that there are, however many.")
    ] = False,
) -> None:
    """List versions of all models, newest first: which were rejected, and whose they are."""
    filters = {
        "state": state,
        "created_by": by,
        "tag": tag,
        "model": model,
        "framework": framework,
        "alias": alias,
        "metric": metric,
        "search": search,
    }
    with session.client() as client:
        # One more than is shown tells whether there are more.
        found = client.find_versions(limit=None if everything else limit + 1, **filters)
    if not found and not session.as_json:
        session.note("No version fits." if any(filters.values()) else "No versions yet.")
    else:
        _list(session, found, len(found) if everything else limit)


def _list(session: Session, found: list[Version], limit: int) -> None:
    shown = found[:limit]
    if session.as_json:
        session.emit({"results": [version.raw for version in shown]})
        return
    table = render.table("VERSION", "STATE", "BY", "MADE", "TAGS", "SERVES IN", "REASON")
    for version in shown:
        table.add_row(
            Text(f"{version.model}:{version.number}", style="bold"),
            render.state(version.state),
            str(version.raw.get("created_by") or "-"),
            Text(render.ago(version.created_at), style="dim"),
            render.tags(version.tags) or "-",
            render.places(version),
            Text(version.state_reason, style="dim"),
        )
    session.out.print(table)
    if len(found) > limit:
        session.note(f"The newest {limit}. There are more: --limit N or --all.")

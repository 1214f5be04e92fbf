"""`nereid models`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from nereid.cli import render
from nereid.cli.app import command
from nereid.cli.completing import model_names
from nereid.cli.session import Session
from nereid.cli.watching import WatchOption, drawn
from nereid.drawing import SERIES
from nereid.resources import Model, Version


@command(
    "models",
    "nereid models",
    "nereid models --tag team:vision --search digit",
    "nereid models digits",
    "nereid models digits --json",
)
def models(
    session: Session,
    name: Annotated[
        str | None,
        typer.Argument(
            help="Show this model and its versions.", metavar="[NAME]", autocompletion=model_names
        ),
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", help="In name, description and owner.")
    ] = None,
    tag: Annotated[
        str | None, typer.Option("--tag", metavar="KEY[:VALUE]", help="That have this tag.")
    ] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Of this owner.")] = None,
    alias: Annotated[
        str | None, typer.Option("--alias", help="That have this alias, such as champion.")
    ] = None,
    watch: WatchOption = False,
) -> None:
    """List the models, or show one with its aliases, versions, and where each serves."""
    filters = {"search": search, "tag": tag, "owner": owner, "alias": alias}
    if name and any(filters.values()):
        raise typer.BadParameter("one model by its name, or those that fit: not both")
    drawn(session, lambda on: _draw(on, name, filters), watch)


def _draw(session: Session, name: str | None, filters: dict[str, str | None]) -> None:
    with session.client() as client:
        if name:
            _show(session, client.model(name), client.versions(name))
            return
        found = client.models(**filters)
    if session.as_json:
        session.emit({"results": [model.raw for model in found]})
        return
    if not found:
        if any(filters.values()):
            session.note("No model fits. `nereid models` shows all.")
        else:
            session.note("No models yet. `nereid push NAME FILE --create` makes the first.")
        return
    table = render.table(
        "MODEL", "LATEST", "ALIASES", "OWNER", "MADE", "DESCRIPTION", right=("LATEST",)
    )
    for model in found:
        latest = "-" if model.latest_version is None else str(model.latest_version)
        table.add_row(
            Text(model.name, style="bold"),
            latest,
            _aliases(model) or "-",
            model.owner or "-",
            render.ago(model.created_at),
            Text(model.description.partition("\n")[0], style="dim"),
        )
    session.out.print(table)


def _show(session: Session, model: Model, versions: list[Version]) -> None:
    if session.as_json:
        session.emit({**model.raw, "versions": [version.raw for version in versions]})
        return
    title = Text.assemble((model.name, "bold"), f"  {model.description}")
    if model.owner:
        title.append(f"  owned by {model.owner}", style="dim")
    session.out.print(title)
    for word, text in (
        ("aliases", _aliases(model)),
        ("tags", render.tags(model.tags)),
        ("service level", "  ".join(f"{key} {value:g}" for key, value in model.sla.items())),
    ):
        if text:
            session.out.print(Text.assemble((f"{word}  ", "dim"), text))
    if not versions:
        session.note(f"No versions yet: nereid push {model.name} FILE")
        return
    table = render.table(
        "VERSION",
        "ALIASES",
        "STATE",
        "SERVES IN",
        "FRAMEWORK",
        "SIZE",
        "METRICS",
        "MADE",
        right=("SIZE",),
    )
    for version in sorted(versions, key=lambda version: -version.number):
        table.add_row(
            Text(f"{model.name}:{version.number}", style="bold"),
            " ".join(f"@{alias}" for alias in version.aliases),
            render.state(version.state),
            render.places(version),
            version.framework,
            render.size(version.size),
            render.metrics(version),
            Text(render.ago(version.created_at), style="dim"),
        )
        if version.state in {"rejected", "archived"} and version.state_reason:
            style = render.STYLES.get(version.state, "dim")
            table.add_row("", "", Text(version.state_reason, style=style))
    session.out.print(table)
    show_signatures(session, versions)


def _aliases(model: Model) -> str:
    return "  ".join(f"@{alias} → {number}" for alias, number in sorted(model.aliases.items()))


def show_signatures(session: Session, versions: list[Version]) -> None:
    """Once when all versions agree, as they mostly do; else each."""
    signed = [version for version in versions if version.signature]
    distinct = {version.signature for version in signed}
    for version in signed if len(distinct) > 1 else signed[-1:]:
        signature = version.signature
        if signature is None:
            continue
        whose = f"{version.model}:{version.number}" if len(distinct) > 1 else "signature"
        text = Text.assemble((f"{whose}  ", "dim"))
        text.append(", ".join(str(tensor) for tensor in signature.inputs))
        text.append("  →  ", style=SERIES[0])
        text.append(", ".join(str(tensor) for tensor in signature.outputs))
        session.out.print(text)

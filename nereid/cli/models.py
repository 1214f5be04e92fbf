"""`nereid models` and `nereid push`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from nereid.cli import render
from nereid.cli.app import command
from nereid.cli.completing import model_names
from nereid.cli.session import REFUSED, Session
from nereid.cli.watching import WatchOption, drawn
from nereid.client import Client
from nereid.drawing import SERIES
from nereid.errors import NereidError, ProblemError
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
    _show_signatures(session, versions)


def _aliases(model: Model) -> str:
    return "  ".join(f"@{alias} → {number}" for alias, number in sorted(model.aliases.items()))


def _show_signatures(session: Session, versions: list[Version]) -> None:
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


@command(
    "push",
    "nereid push digits model.onnx --metric accuracy=0.984",
    "nereid push digits model.onnx --create --description 'Handwritten digits'",
)
def push(
    session: Session,
    model: Annotated[str, typer.Argument(help="The model's name.")],
    file: Annotated[Path, typer.Argument(help="The file to upload.", exists=True, dir_okay=False)],
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="[DATASET/]NAME=VALUE",
            help="A figure to keep with it, of a data set if one is named.",
        ),
    ] = None,
    create: Annotated[
        bool, typer.Option("--create", help="Create the model when it does not exist.")
    ] = False,
    description: Annotated[
        str, typer.Option("--description", help="Of a model that --create makes.")
    ] = "",
    framework: Annotated[
        str | None, typer.Option("--framework", help="Else told from the file's suffix.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until the server has checked it.")
    ] = True,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")] = 120,
) -> None:
    """Upload a file as the next version of a model, and wait until it is checked.

    Exits 1 when the server rejects the file, and says why.
    """
    figures = _figures(metric or ())
    with session.client() as client:
        made = create and client.ensure_model(model, description)
        if not create:
            _require_model(client, model)
        elif made:
            session.note(f"made the model {model}")
        try:
            version = _upload(session, client, model, file, figures, framework)
        except ProblemError:
            if made:  # nothing half-made stays behind a command that failed
                client.delete_model(model)
                session.note(f"the model {model} was not kept")
            raise
        if wait:
            with session.err.status(Text(f"checking {model}:{version.number}")):
                version = client.wait_version_ready(model, version.number, timeout=timeout)
    _outcome(session, version)


def _outcome(session: Session, version: Version) -> None:
    name = f"{version.model}:{version.number}"
    if session.as_json:
        session.emit(version.raw)
    elif version.state == "rejected":
        session.failure(Text.assemble((name, "bold"), f" was rejected: {version.state_reason}"))
    elif version.state == "ready":
        facts = [render.size(version.size), f"sha256 {version.sha256[:12]}"]
        line = Text.assemble((name, "bold"), " is ready  ", (" · ".join(facts), "dim"))
        session.success(line)
        _show_signatures(session, [version])
        session.note(f"next: nereid deploy {version.model} {name}=100")
    else:
        session.out.print(Text.assemble((name, "bold"), f" is {version.state}"))
    if version.state == "rejected":
        raise typer.Exit(REFUSED)


def _require_model(client: Client, model: str) -> None:
    """Ask before the upload: it may be large."""
    try:
        client.model(model)
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        raise NereidError(
            f"there is no model {model!r}\nAdd --create to make it with this version."
        ) from error


def _upload(
    session: Session,
    client: Client,
    model: str,
    file: Path,
    figures: dict[str, Any],
    framework: str | None,
) -> Version:
    # A silent console instead of a condition around every call: nothing is drawn for programs.
    console = session.err if session.interactive else Console(quiet=True)
    columns = (
        SpinnerColumn(style=SERIES[0]),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=32, complete_style=SERIES[0]),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"{file.name} → {model}", total=file.stat().st_size)
        return client.push(
            model,
            file,
            metrics=figures,
            framework=framework,
            on_bytes=lambda sent, total: progress.update(task, completed=sent, total=total),
        )


def _figures(texts: Iterable[str]) -> dict[str, Any]:
    """Figures as the API takes them: those of a named data set lie in an object of its name."""
    figures: dict[str, Any] = {}
    for text in texts:
        name, value = _metric(text)
        data_set, slash, metric = name.partition("/")
        if not slash:
            figures[name] = value
        elif isinstance(figures.setdefault(data_set, {}), dict):
            figures[data_set][metric] = value
        else:
            raise typer.BadParameter(f"{data_set!r} is a metric and a data set: rename one")
    return figures


def _metric(text: str) -> tuple[str, float]:
    name, separator, value = text.partition("=")
    try:
        if not (name and separator):
            raise ValueError
        return name, float(value)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not NAME=VALUE with a number, such as accuracy=0.98"
        ) from None

"""`nereid push`."""

from __future__ import annotations

import json
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
from nereid.cli.completing import model_names, profile_names
from nereid.cli.models import show_signatures
from nereid.cli.session import REFUSED, Session
from nereid.client import Client
from nereid.drawing import SERIES
from nereid.errors import NereidError, ProblemError
from nereid.golden import read_golden
from nereid.overrides import overrides_of
from nereid.resources import Version

FILE_TIMEOUT_S, SOURCE_TIMEOUT_S = 120.0, 3600.0
SAID = "What is said of the version"
CHECKED = "How it is checked"
ORIGIN = "Where it comes from"


FileArgument = Annotated[
    Path | None, typer.Argument(help="The file to upload.", exists=True, dir_okay=False)
]
SourceOption = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="URI",
        help="In place of a file, what the server fetches: s3://bucket/key, file:///…, or of "
        "MLflow's registry models:/NAME@ALIAS. grpc://HOST:PORT/MODEL is a model that a process of "
        "yours serves: it is asked, and not fetched.",
    ),
]
MetricOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        "-m",
        metavar="[DATASET/]NAME=VALUE",
        help="A figure, of a data set if one is named; repeatable.",
        rich_help_panel=SAID,
    ),
]
TagOption = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="KEY[=VALUE]", help="A tag; repeatable.", rich_help_panel=SAID),
]
DescriptionOption = Annotated[
    str, typer.Option("--description", help="In Markdown.", rich_help_panel=SAID)
]
GoldenOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--golden",
        metavar="FILE",
        help="Inputs with the outputs that every server has to give before it serves: JSON, or "
        ".npz with arrays inputs/NAME and outputs/NAME; repeatable.",
        exists=True,
        dir_okay=False,
        rich_help_panel=CHECKED,
    ),
]
ToleranceOption = Annotated[
    float | None,
    typer.Option(
        "--tolerance", min=0, help="Of golden examples that say none.", rich_help_panel=CHECKED
    ),
]
SignatureOption = Annotated[
    Path | None,
    typer.Option(
        "--signature",
        metavar="FILE",
        help='JSON, {"inputs": [{"name", "datatype", "shape"}], "outputs": […]}, where the file '
        "does not say (all but ONNX and torch.export).",
        exists=True,
        dir_okay=False,
        rich_help_panel=CHECKED,
    ),
]
FrameworkOption = Annotated[
    str | None,
    typer.Option(
        "--framework",
        help="onnx, pytorch, python, transform, tensorrt, tensorflow, openvino, vllm, dali or "
        "custom (a config.pbtxt in the archive names the backend); else told from "
        "the file's name, or by MLflow.",
        rich_help_panel=CHECKED,
    ),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help="The serving profile.",
        rich_help_panel=CHECKED,
        autocompletion=profile_names,
    ),
]
OverrideOption = Annotated[
    list[str] | None,
    typer.Option(
        "--override",
        metavar="WORD=VALUE",
        help="What the version says otherwise than its serving profile, such as "
        "max_batch_size=16; repeatable.",
        rich_help_panel=CHECKED,
    ),
]
RunOption = Annotated[
    str | None,
    typer.Option("--run-id", help="The run that trained it.", rich_help_panel=ORIGIN),
]
ProvenanceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--provenance",
        metavar="FIELD=TEXT",
        help="Such as training_data_digest or trained_at; repeatable.",
        rich_help_panel=ORIGIN,
    ),
]
GitOption = Annotated[
    bool,
    typer.Option(
        "--git/--no-git",
        help="Keep the commit that the working directory stands at (of a file alone).",
        rich_help_panel=ORIGIN,
    ),
]
CreateOption = Annotated[
    bool, typer.Option("--create", help="Create the model when it does not exist.")
]
ModelDescriptionOption = Annotated[
    str, typer.Option("--model-description", help="Of a model that --create makes.")
]
WaitOption = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait until the server has checked it.")
]
TimeoutOption = Annotated[
    float | None, typer.Option("--timeout", help="Seconds to wait: 120, and 3600 for a source.")
]


@command(
    "push",
    "nereid push digits model.onnx --metric accuracy=0.984 --metric holdout/loss=0.11",
    "nereid push digits model.onnx --create --golden examples.json",
    "nereid push digits --source models:/digits@champion",
    "nereid push notebook --source grpc://127.0.0.1:8001/double --create",
    "nereid push digits-from-png transform.yaml --create",
    "nereid push digits model.pt --signature signature.json --run-id a1b2 --no-git",
)
def push(
    session: Session,
    model: Annotated[str, typer.Argument(help="The model's name.", autocompletion=model_names)],
    file: FileArgument = None,
    source: SourceOption = None,
    metric: MetricOption = None,
    tag: TagOption = None,
    description: DescriptionOption = "",
    golden: GoldenOption = None,
    tolerance: ToleranceOption = None,
    signature: SignatureOption = None,
    framework: FrameworkOption = None,
    profile: ProfileOption = None,
    override: OverrideOption = None,
    run_id: RunOption = None,
    provenance: ProvenanceOption = None,
    git: GitOption = True,
    create: CreateOption = False,
    model_description: ModelDescriptionOption = "",
    wait: WaitOption = True,
    timeout: TimeoutOption = None,
) -> None:
    """Add a file, or what lies elsewhere, as the next version of a model; wait until it is checked.

    Exits 1 when the server rejects it, and says why.
    """
    if (file is None) == (source is None):
        raise typer.BadParameter("name a FILE, or a --source: one of the two")
    if tolerance is not None and not golden:
        raise typer.BadParameter("--tolerance is of --golden examples, and there are none")
    run = {"run_id": run_id} if run_id else {}
    said: dict[str, Any] = {
        "metrics": _figures(metric or ()),
        "tags": dict(_pair(text, empty=True) for text in tag or ()),
        "description": description,
        "provenance": run | dict(_pair(text) for text in provenance or ()),
        "golden": read_golden(golden or (), tolerance),
        "signature": _object(signature) if signature else None,
        "framework": framework,
        "profile": profile,
        "overrides": overrides_of(override or ()),
        "git": git,
    }
    with session.client() as client:
        version = _added(session, client, model, file, source, said, create, model_description)
        if wait:
            patience = timeout or (SOURCE_TIMEOUT_S if source else FILE_TIMEOUT_S)
            version = _watched(session, client, version, patience)
    _outcome(session, version)


def _added(
    session: Session,
    client: Client,
    model: str,
    file: Path | None,
    source: str | None,
    said: dict[str, Any],
    create: bool,
    model_description: str,
) -> Version:
    made = create and client.ensure_model(model, model_description)
    if not create:
        _require_model(client, model)
    elif made:
        session.note(f"made the model {model}")
    try:
        if file is None:
            return client.push(model, source=source, **said)
        return _upload(session, client, model, file, said)
    except ProblemError:
        if made:  # nothing half-made stays behind a command that failed
            client.delete_model(model)
            session.note(f"the model {model} was not kept")
        raise


def _watched(session: Session, client: Client, version: Version, timeout: float) -> Version:
    """The version once it is decided; how far a fetch is stands in its reason."""
    name = f"{version.model}:{version.number}"
    with session.err.status(Text(f"checking {name}")) as status:

        def show(seen: Version) -> None:
            if seen.state == "uploading":
                status.update(Text(f"{name}: {seen.state_reason or 'waiting to be fetched'}"))
            else:
                status.update(Text(f"checking {name}"))

        return client.wait_version_ready(
            version.model, version.number, timeout=timeout, on_progress=show
        )


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
        show_signatures(session, [version])
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
    session: Session, client: Client, model: str, file: Path, said: dict[str, Any]
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

        def moved(sent: int, total: int) -> None:
            progress.update(task, completed=sent, total=total)

        return client.push(model, file, on_bytes=moved, **said)


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


def _pair(text: str, *, empty: bool = False) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not key or not (separator or empty):
        raise typer.BadParameter(f"{text!r} is not KEY=VALUE")
    return key, value


def _object(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise NereidError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise NereidError(f"{path} does not hold a JSON object")
    return document

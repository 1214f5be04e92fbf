"""`nereid import`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from nereid.calls.importing import Imported
from nereid.calls.importing import Progress as Heard
from nereid.calls.importing_pipelines import ImportedPipeline
from nereid.cli import render
from nereid.cli.app import command
from nereid.cli.session import REFUSED, Session
from nereid.client import Client
from nereid.drawing import BAD, GOOD, SERIES
from nereid.importing import PlannedModel, PlannedVersion
from nereid.policy import policy_document

RenameOption = Annotated[
    list[str] | None,
    typer.Option(
        "--rename",
        metavar="OLD=NEW",
        help="The name that a directory is to have here; repeatable. [dim]Else its own, in "
        "lower-case letters, digits, '-' and '_'.[/]",
    ),
]
MemberOption = Annotated[
    list[str] | None,
    typer.Option(
        "--member",
        metavar="NAME=MODEL[:VERSION]",
        help="What an ensemble names and the repository has not is this version, or pipeline, that "
        "is here; repeatable. [dim]Without a number the newest.[/]",
    ),
]
STATES = {"new": GOOD, "there": "dim", "taken": BAD, "rejected": BAD}


@command(
    "import",
    "nereid import /models --dry-run             what becomes of each model",
    "nereid import /models                       bring them in; again: what is not here yet",
    "nereid import /models --only ResNet50 --rename ResNet50=resnet --deploy",
)
def import_repository(
    session: Session,
    path: Annotated[
        Path,
        typer.Argument(
            metavar="REPOSITORY", help="A Triton model repository, or one model's directory."
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what becomes of each model, and do nothing.")
    ] = False,
    rename: RenameOption = None,
    member: MemberOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="DIRECTORY", help="Of these alone; repeatable."),
    ] = None,
    deploy: Annotated[
        bool,
        typer.Option("--deploy", help="Serve each at once, under its name, where nothing does."),
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each version.")] = 600.0,
) -> None:
    """Bring a Triton model repository in: every model with its versions, files and configuration.

    What a configuration says of serving becomes a serving profile of the model's name; the rest
    goes with each version. Whatever cannot be kept is refused by its name before anything is
    sent. A second run does nothing new, and goes on where the first one ended.

    Exit code 1 when something was refused.
    """
    names, members = (dict(_pair(text) for text in given or ()) for given in (rename, member))
    with session.client() as client:
        with session.err.status("reading the repository"):
            plans = client.plan_import(path, rename=names, only=only or (), members=members)
        if dry_run:
            _show(session, plans)
            raise typer.Exit(REFUSED if any(_refusals(plan) for plan in plans) else 0)
        models = [plan for plan in plans if not plan.is_ensemble]
        done = [(plan, _import(session, client, plan, timeout)) for plan in models]
        ensembles = [plan for plan in plans if plan.is_ensemble]
        pipelines = client.import_pipelines(ensembles) if ensembles else []
        served = _deployed(client, [plan for plan, _ in done], pipelines) if deploy else {}
    _outcome(session, done, pipelines, served)


def _import(session: Session, client: Client, plan: PlannedModel, timeout: float) -> Imported:
    if plan.refused or not plan.versions:
        return Imported(plan.name, "", (), (), _refusals(plan))
    console = session.err if session.interactive else Console(quiet=True)
    columns = (
        SpinnerColumn(style=SERIES[0]),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=32, complete_style=SERIES[0]),
        DownloadColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(plan.name, total=None)

        def began(model: PlannedModel, number: int) -> None:
            progress.reset(task, description=f"{model.source.name}/{number} → {model.name}")

        def moved(sent: int, total: int) -> None:
            progress.update(task, completed=sent, total=total)

        heard = Heard(began, moved)
        return client.import_model(plan, timeout=timeout, progress=heard)


def _deployed(
    client: Client, plans: Sequence[PlannedModel], pipelines: Sequence[ImportedPipeline]
) -> dict[str, str]:
    """What each endpoint that had no policy serves now."""
    wanted = {one.name: one.revision for one in pipelines if one.revision is not None}
    for plan in plans:
        if plan.versions and not plan.refused:
            version = client.version(plan.name, plan.served)
            wanted |= {plan.name: version.number} if version.state == "ready" else {}
    served = {}
    for name, number in wanted.items():
        client.ensure_endpoint(name)
        standing = client.policy(name)
        if not standing.empty:
            continue
        policy = policy_document([f"{name}:{number}=100"])
        accepted = client.put_policy(name, policy, etag=standing.etag)
        if accepted.change is None:
            client.wait_endpoint(name, generation=accepted.generation)
        served[name] = f"{name}:{number}"
    return served


def _show(session: Session, plans: Sequence[PlannedModel]) -> None:
    if session.as_json:
        session.emit({"results": [_document(plan) for plan in plans]})
        return
    table = render.table("DIRECTORY", "MODEL", "FRAMEWORK", "VERSIONS", "PROFILE", "")
    for plan in plans:
        refusals = _refusals(plan)
        table.add_row(
            Text(plan.source.name, style="bold"),
            plan.name,
            (plan.becomes.framework or "?") + (" (code)" if plan.becomes.code else ""),
            "here as it is" if plan.pipeline_is_there else _versions(plan.versions),
            "" if plan.refused or plan.is_ensemble else plan.profile,
            Text("refused", style=BAD) if plan.refused else Text("", style=BAD if refusals else ""),
        )
    session.out.print(table)
    for plan in plans:
        _notes(session, plan)
    if any(plan.becomes.code for plan in plans):
        session.note("(code): publishing it takes the permission registry.publish_code")


def _versions(versions: Sequence[PlannedVersion]) -> Text:
    text = Text()
    for one in versions:
        text.append(", " if text else "")
        text.append(str(one.number), style=STATES[one.state])
        text.append("" if one.state == "new" else f" {one.state}", style=STATES[one.state])
    return text


def _notes(session: Session, plan: PlannedModel) -> None:
    """What is kept otherwise than it stands, what is left out, and what is refused."""
    lines = [Text.assemble(("changed  ", SERIES[1]), note) for note in plan.becomes.changed]
    lines += [Text.assemble(("left out  ", SERIES[1]), note) for note in plan.source.left_out]
    lines += [Text.assemble(("refused  ", BAD), note) for note in _refusals(plan)]
    if plan.name != plan.source.name:
        words = f"{plan.source.name} is called {plan.name} here (--rename {plan.source.name}=…)"
        lines.insert(0, Text.assemble(("renamed  ", SERIES[1]), words))
    if plan.variants:
        words = f"its other configurations are the profiles {', '.join(plan.variants)}"
        lines.append(Text.assemble(("kept  ", GOOD), words))
    if lines:
        session.out.print(Text(plan.source.name, style="bold"))
    for line in lines:
        session.out.print(Text("  ").append_text(line))


def _refusals(plan: PlannedModel) -> tuple[str, ...]:
    taken = [
        f"version {one.number}: {one.reason}"
        for one in plan.versions
        if one.state in ("taken", "rejected")
    ]
    return (*plan.refused, *taken)


def _document(plan: PlannedModel) -> dict[str, Any]:
    return {
        "directory": plan.source.name,
        "model": plan.name,
        "framework": plan.becomes.framework,
        "code": plan.becomes.code,
        "profile": None if plan.is_ensemble else plan.profile,
        "profile_document": None if plan.is_ensemble else plan.document,
        "pipeline": plan.becomes.pipeline,
        "model_config": plan.becomes.model_config,
        "versions": [
            {"number": one.number, "sha256": one.sha256, "state": one.state, "reason": one.reason}
            for one in plan.versions
        ],
        "changed": list(plan.becomes.changed),
        "left_out": list(plan.source.left_out),
        "refused": list(_refusals(plan)),
        "profiles": {name: dict(document) for name, document in plan.variants.items()},
    }


def _outcome(
    session: Session,
    done: Sequence[tuple[PlannedModel, Imported]],
    pipelines: Sequence[ImportedPipeline],
    served: dict[str, str],
) -> None:
    failed = any(one.failed for _, one in done) or any(one.failed for one in pipelines)
    if session.as_json:
        results = [
            {
                "directory": plan.source.name,
                "model": one.model,
                "profile": one.profile,
                "imported": [version.number for version in one.versions],
                "present": list(one.skipped),
                "failed": list(one.failed),
                "endpoint": plan.name if plan.name in served else None,
            }
            for plan, one in done
        ]
        made = [
            {
                "pipeline": one.name,
                "revision": one.revision,
                "made": one.made,
                "failed": one.failed,
                "endpoint": one.name if one.name in served else None,
            }
            for one in pipelines
        ]
        session.emit({"results": results, "pipelines": made})
    else:
        for plan, one in done:
            _told(session, plan, one, served.get(plan.name, ""))
        for pipeline in pipelines:
            _told_of(session, pipeline, served.get(pipeline.name, ""))
    if failed:
        raise typer.Exit(REFUSED)


def _told(session: Session, plan: PlannedModel, one: Imported, served: str) -> None:
    came = [version for version in one.versions if version.state != "rejected"]
    if came or one.skipped:
        parts = [", ".join(f"{v.model}:{v.number} is {v.state}" for v in came)]
        parts += [f"{', '.join(str(n) for n in one.skipped)} was here"] if one.skipped else []
        parts += [f"profile {one.profile}"] if came else []
        parts += [f"{served} serves"] if served else []
        words = " · ".join(part for part in parts if part)
        session.success(Text.assemble((plan.source.name, "bold"), "  ", words))
    for reason in one.failed:
        session.failure(Text.assemble((plan.source.name, "bold"), "  ", reason))
    if came and not served:
        session.note(f"next: nereid deploy {plan.name} {plan.name}:{plan.served}=100 --create")


def _told_of(session: Session, one: ImportedPipeline, served: str) -> None:
    if one.failed:
        session.failure(Text.assemble((one.name, "bold"), "  ", one.failed))
        return
    words = f"pipeline {one.name}:{one.revision}" + ("" if one.made else " was here")
    session.success(Text.assemble((words, "bold"), f" · {served} serves" if served else ""))


def _pair(text: str) -> tuple[str, str]:
    old, separator, new = text.partition("=")
    if not (old and separator and new):
        raise typer.BadParameter(f"{text!r} has no name on both sides of its =")
    return old, new

"""`nereid export`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from nereid import backends
from nereid.cli import render
from nereid.cli.app import command
from nereid.cli.session import Session
from nereid.drawing import SERIES
from nereid.exporting import ExportedModel, ExportError, ExportPlan

README = "README.md"


@command(
    "export",
    "nereid export digits /models                what the endpoint digits serves",
    "nereid export digits:1 digits:2 /models     these versions",
    "nereid export --all /models                 every endpoint, pipeline and model",
)
def export(
    session: Session,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME]... DIR",
            help="Endpoints, pipelines, models or versions (digits:2), and the directory that is "
            "made.",
        ),
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="Every endpoint, pipeline and model.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Put it in place of what lies in the directory.")
    ] = False,
    with_backends: Annotated[
        bool,
        typer.Option(
            "--with-backends", help="Copy Nereid's backends that it needs to DIR.backends."
        ),
    ] = False,
) -> None:
    """Write a plain Triton model repository that is served without Nereid.

    An endpoint becomes the model of its name with the version that its policy sends the most to;
    what plain Triton has no word for, such as a split, is said and written into README.md. The
    directory appears whole, or not at all.
    """
    *targets, place = names
    if everything == bool(targets):
        raise typer.BadParameter("name what is exported and a directory, or --all and a directory")
    target = Path(place)
    _check_target(target, force)
    with session.client() as client:
        plan = client.plan_export(targets, everything=everything)
        found = backends.sources(plan.backends) if with_backends else {}
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as draft:
            folder = Path(draft) / "repository"
            folder.mkdir()
            with session.err.status("writing") as status:

                def told(model: ExportedModel) -> None:
                    status.update(Text(f"writing {model.name}"))

                client.write_export(plan, folder, on_model=told)
            (folder / README).write_text(_readme(plan, bool(found)))
            _replace(folder, target, Path(draft) / "before")
    if found:
        backends.copy(found, target.with_name(f"{target.name}.backends"))
    _outcome(session, plan, target)


def _check_target(target: Path, force: bool) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ExportError(f"{target} is no directory")
    if target.exists() and any(target.iterdir()) and not force:
        raise ExportError(f"{target} is not empty\nAdd --force to put the export in its place.")


def _replace(folder: Path, target: Path, before: Path) -> None:
    """The new directory in place of the old one, whose content goes with the draft."""
    folder.chmod(0o755)
    if target.exists():
        target.rename(before)
    try:
        folder.rename(target)
    except OSError:
        if before.exists():
            before.rename(target)
        raise


def _readme(plan: ExportPlan, copied: bool) -> str:
    """What a person has to know who starts a Triton on it."""
    lines = ["# A Triton model repository", "", "Exported from Nereid; any Triton serves it:", ""]
    # The paths of operators' libraries begin in this directory.
    start = (
        "cd THIS_DIRECTORY && tritonserver --model-repository=."
        if plan.has_libraries
        else ("tritonserver --model-repository=THIS_DIRECTORY")
    )
    lines += [f"    {start}", "", "## Models", ""]
    for model in plan.models:
        numbers = ", ".join(str(one.number) for one in model.versions)
        source = ", ".join(sorted({one.model for one in model.versions}))
        lines.append(f"- `{model.name}`: version {numbers} of {source}")
    lines += [f"- `{one.name}`: an ensemble, the pipeline {one.source}" for one in plan.ensembles]
    if plan.backends:
        lines += ["", "## Backends", "", "These come with Nereid as Python-based backends:", ""]
        lines += [f"- `{name}`: {else_}" for name, else_ in sorted(plan.backends.items())]
        where = "the folder `.backends` beside this one" if copied else "Nereid's `backends/`"
        lines += ["", f"A server without them takes their folders from {where} into its own "]
        lines[-1] += "backend directory."
    notes = [*plan.notes, *(note for model in plan.models for note in model.notes)]
    if notes:
        lines += ["", "## What plain Triton has no word for", ""]
        lines += [f"- {note}" for note in notes]
    return "\n".join([*lines, ""])


def _outcome(session: Session, plan: ExportPlan, target: Path) -> None:
    notes = [*plan.notes, *(note for model in plan.models for note in model.notes)]
    if session.as_json:
        session.emit(
            {
                "directory": str(target),
                "models": [
                    {
                        "name": model.name,
                        "versions": [f"{one.model}:{one.number}" for one in model.versions],
                    }
                    for model in plan.models
                ],
                "ensembles": [{"name": one.name, "pipeline": one.source} for one in plan.ensembles],
                "backends": dict(plan.backends),
                "notes": notes,
            }
        )
        return
    table = render.table("MODEL", "VERSIONS", "OF", "BACKEND")
    for model in plan.models:
        table.add_row(
            Text(model.name, style="bold"),
            ", ".join(str(one.number) for one in model.versions),
            ", ".join(sorted({one.model for one in model.versions})),
            model.versions[-1].backend,
        )
    for ensemble in plan.ensembles:
        table.add_row(Text(ensemble.name, style="bold"), "", ensemble.source, "ensemble")
    session.out.print(table)
    for note in notes:
        session.out.print(Text.assemble(("left out  ", SERIES[1]), note))
    for name, else_ in sorted(plan.backends.items()):
        session.note(f"backend {name}: {else_}")
    count = len(plan.models) + len(plan.ensembles)
    words = "1 model" if count == 1 else f"{count} models"
    session.success(Text.assemble((str(target), "bold"), f"  {words}"))

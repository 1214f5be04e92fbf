"""`nereid pipelines`: list, show, check, apply, delete."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer
import yaml
from rich.text import Text

from nereid.cli import render
from nereid.cli.app import command, group
from nereid.cli.completing import pipeline_names
from nereid.cli.document_file import read_document
from nereid.cli.revised import present, say_deleted, say_put
from nereid.cli.session import Session
from nereid.errors import NereidError
from nereid.pipeline_resources import PipelineStep
from nereid.resources import Document, Finding, Tensor

pipelines = group(
    "pipelines",
    """Steps that hand tensors on to each other and are called as one: pre -> model -> post.

    Each of these takes --json.""",
    "nereid pipelines check digits-png.yaml",
    "nereid pipelines apply digits-png.yaml",
    "nereid pipelines show digits-png",
    "nereid deploy digits-png digits-png:1=100 --create",
)

Name = Annotated[
    str,
    typer.Argument(metavar="PIPELINE", help="The pipeline's name.", autocompletion=pipeline_names),
]
_ORDER = ("kind", "description", "confidence", "scale", "inputs", "steps", "outputs")
_STEP_ORDER = (
    *("name", "model", "version", "pipeline", "revision", "at_least", "weight"),
    *("inputs", "outputs"),
)

File = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="YAML or JSON with a name and steps; - reads standard input."
    ),
]
NameOption = Annotated[str | None, typer.Option("--name", help="In place of the name in the file.")]


@command("list", "nereid pipelines list", "nereid pipelines list --json", of=pipelines)
def list_pipelines(session: Session) -> None:
    """Show every pipeline at its newest revision."""
    with session.client() as client:
        found = client.pipelines()
    if session.as_json:
        session.emit({"results": [one.raw for one in found]})
        return
    if not found:
        session.note("No pipelines yet: nereid pipelines apply FILE")
        return
    table = render.table("PIPELINE", "REVISION", "STEPS", "SERVES IN", "CHANGED", "BY", "FOR")
    for one in found:
        table.add_row(
            Text(one.name, style="bold"),
            str(one.revision),
            " → ".join(step.name for step in one.steps) or Text("cannot be served", "red"),
            ", ".join(place.endpoint for place in one.serves_in),
            render.ago(one.changed_at),
            one.changed_by,
            one.description,
        )
    session.out.print(table)


@command(
    "show",
    "nereid pipelines show digits-png",
    "nereid pipelines show digits-png --revision 1",
    "nereid pipelines show digits-png > digits-png.yaml",
    of=pipelines,
)
def show(
    session: Session,
    name: Name,
    revision: Annotated[int | None, typer.Option("--revision", help="Else the newest.")] = None,
) -> None:
    """Print a pipeline as it can be applied again, and what runs in it; --json has all of it."""
    with session.client() as client:
        found = client.pipeline(name, revision)
    if session.as_json:
        session.emit(found.raw)
        return
    session.note(f"{found.name}, revision {found.revision}")
    _tell_steps(session, found.steps, found.tensors)
    for place in found.serves_in:
        session.note(f"serves in {place.endpoint} as {place.arm}, {render.percent(place.share)}")
    if found.error:
        session.err.print(Text(f"cannot be served any more: {found.error}", style="red"))
    _tell_findings(session, found.findings)
    written = {"name": found.name, **_ordered(found.document, _ORDER)}
    written["steps"] = [_ordered(step, _STEP_ORDER) for step in found.document.get("steps", ())]
    session.out.print(yaml.safe_dump(written, sort_keys=False).rstrip(), markup=False)


@command("check", "nereid pipelines check digits-png.yaml", of=pipelines)
def check(session: Session, file: File, name: NameOption = None) -> None:
    """Say what a file would be as a pipeline, or what is wrong with it; nothing is written."""
    called, document = _read(file, name)
    with session.client() as client:
        found = client.check_pipeline(called, document)
    if session.as_json:
        session.emit(found.raw)
        return
    _tell_steps(session, found.steps, found.tensors)
    _tell_findings(session, found.findings)
    if found.diff:
        session.out.print(render.diff(found.diff))
    batch = f"batches of up to {found.max_batch_size}" if found.max_batch_size else "no batches"
    inputs, outputs = (", ".join(map(str, side)) for side in (found.inputs, found.outputs))
    session.success(f"{called} takes {inputs} and gives {outputs}; {batch}")


@command("apply", "nereid pipelines apply digits-png.yaml", of=pipelines)
def apply(session: Session, file: File, name: NameOption = None) -> None:
    """Add a pipeline, or make a new revision of it.

    What serves stays as it is: a policy that names the new revision moves traffic to it.
    """
    called, document = _read(file, name)
    with session.client() as client:
        before = present(lambda: client.pipeline(called))
        done = client.put_pipeline(called, document, etag=before.etag if before else None)
    if session.as_json:
        session.emit(done.raw)
        return
    say_put(session, before, done)
    _tell_findings(session, done.findings)


@command("delete", "nereid pipelines delete digits-png", of=pipelines)
def delete(session: Session, name: Name) -> None:
    """Remove a pipeline. One that an endpoint's revision or another pipeline uses is refused."""
    with session.client() as client:
        client.delete_pipeline(name)
    say_deleted(session, name)


def _ordered(document: Document, order: tuple[str, ...]) -> dict[str, Any]:
    """In the order in which people read it, which a database does not keep."""
    known = {name: document[name] for name in order if name in document}
    return {**known, **document}


def _tell_steps(session: Session, steps: Iterable[PipelineStep], tensors: Iterable[Tensor]) -> None:
    known = {tensor.name: tensor for tensor in tensors}
    table = render.table("STEP", "RUNS", "TAKES", "GIVES")
    for step in steps:
        sides = (
            ", ".join(str(known.get(name, name)) for name in side.values())
            for side in (step.inputs, step.outputs)
        )
        table.add_row(Text(step.name, style="bold"), f"{step.model}:{step.version}", *sides)
    session.err.print(table)


def _tell_findings(session: Session, findings: Iterable[Finding]) -> None:
    for finding in findings:
        session.err.print(render.found(finding))


def _read(file: str, name: str | None) -> tuple[str, Document]:
    """The name and the document of a file."""
    document = read_document(file, "pipeline", "an object with a name and steps")
    called = name or document.pop("name", None)
    document.pop("name", None)
    if not isinstance(called, str) or not called:
        raise NereidError(f"{file} says no name: write `name: …` into it, or give --name")
    return called, document

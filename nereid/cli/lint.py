"""`nereid lint`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.text import Text

from nereid.cli import render
from nereid.cli.app import command
from nereid.cli.document_file import read_document
from nereid.cli.session import REFUSED, Session
from nereid.client import Client
from nereid.errors import NereidError, ProblemError
from nereid.linted import Linted
from nereid.repository import read_repository

PROFILES = {".toml", ".json", ".yaml", ".yml"}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s)")
_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@command(
    "lint",
    "nereid lint /models                       a Triton model repository",
    "nereid lint /models/resnet/config.pbtxt   one configuration",
    "nereid lint patient.toml --p99 20ms       a serving profile",
    "nereid lint digits:2                      a registered version",
    "nereid lint digits --severity error       an endpoint, or a model",
)
def lint(
    session: Session,
    target: Annotated[
        str,
        typer.Argument(
            metavar="PATH|MODEL[:VERSION]|ENDPOINT",
            help="A repository, a model's directory, a .pbtxt, or a profile (TOML, JSON, YAML); "
            "else what is registered.",
        ),
    ],
    severity: Annotated[
        Severity, typer.Option("--severity", help="Show findings from this one on.")
    ] = Severity.INFO,
    p99: Annotated[
        str | None,
        typer.Option("--p99", metavar="DURATION", help="What was promised: 20ms. Of files."),
    ] = None,
    cores: Annotated[
        int | None,
        typer.Option(min=1, help="Of the server. [dim]Else the smallest one here.[/] Of files."),
    ] = None,
    gpus: Annotated[int | None, typer.Option(min=0, help="Of the server. Of files.")] = None,
) -> None:
    """Find what Triton takes without a word and somebody regrets later.

    Of files only names and configurations are sent to the server, no weights. Every finding has a
    name, why it is found and what to do. Exit code 1 when there is an error among them.
    """
    asked = {"p99_ms": _milliseconds(p99), "cores": cores, "gpus": gpus}
    with session.client() as client:
        path = Path(target)
        found = (
            _of_path(client, path, asked)
            if path.exists()
            else _registered(client, target, {k: v for k, v in asked.items() if v is not None})
        )
    shown = _from(found, severity)
    if session.as_json:
        session.emit({"results": shown})
    else:
        _tell(session, target, found, severity)
    if any(one.errors for one in found):
        raise typer.Exit(REFUSED)


def _of_path(client: Client, path: Path, asked: dict[str, Any]) -> list[Linted]:
    if path.is_file() and path.suffix in PROFILES:
        return client.lint_profile(
            read_document(str(path), "profile", "an object with Triton's words"), **asked
        )
    models = read_repository(path)
    return client.lint_models([one.described() for one in models], **asked)


def _registered(client: Client, target: str, asked: dict[str, Any]) -> list[Linted]:
    if asked:
        raise typer.BadParameter(
            "--p99, --cores and --gpus are for files: of what is registered they are known"
        )
    model, colon, number = target.partition(":")
    if colon:
        return client.lint_version(model, number)
    try:
        return client.lint_endpoint(target)
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
    try:
        versions = client.versions(target, state="ready")
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        raise NereidError(f"there is no file, endpoint or model {target!r}") from error
    return [one for v in versions for one in client.lint_version(target, v.number)]


def _milliseconds(text: str | None) -> float | None:
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no duration such as 20ms")
    return float(match[1]) * _MS[match[2]]


def _from(found: Sequence[Linted], severity: Severity) -> list[dict[str, Any]]:
    """The answers with the findings that are asked for alone."""
    wanted = _wanted(severity)
    return [
        {
            "name": one.name,
            "findings": [f for f in one.raw.get("findings") or () if f.get("severity") in wanted],
        }
        for one in found
    ]


def _tell(session: Session, target: str, found: Sequence[Linted], severity: Severity) -> None:
    wanted = _wanted(severity)
    for one in found:
        shown = [finding for finding in one.findings if finding.severity in wanted]
        if shown:
            session.out.print(Text(one.name or target, style="bold"))
        for finding in shown:
            session.out.print(Text("  ").append_text(render.found(finding)))
    counts = {
        kind: sum(f.severity == kind for one in found for f in one.findings) for kind in Severity
    }
    said = ", ".join(f"{count} {kind}{_s(count, kind)}" for kind, count in counts.items() if count)
    looked = f"{len(found)} looked at: " if len(found) > 1 else ""
    tell = session.failure if counts[Severity.ERROR] else session.success
    tell(f"{looked}{said or 'nothing found'}")


def _wanted(severity: Severity) -> set[str]:
    order = [*Severity]
    return {kind.value for kind in order[: order.index(severity) + 1]}


def _s(count: int, kind: Severity) -> str:
    return "" if count == 1 or kind is Severity.INFO else "s"

"""`nereid feedback`: what callers say of an endpoint's answers."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from nereid.cli import render
from nereid.cli.app import command
from nereid.cli.session import Session
from nereid.cli.traffic import EndpointArgument
from nereid.feedback import FeedbackSummary, FeedbackTaken

WHAT = "say what is true of an answer, as in `nereid feedback digits correct --request ID`"


@command(
    "feedback",
    "nereid feedback digits",
    "nereid feedback digits correct --request 4f1c2a --value 1",
    "nereid feedback digits correct --arm candidate --count 95 --of 100",
    "nereid feedback digits --file labels.jsonl",
)
def feedback(
    session: Session,
    endpoint: EndpointArgument,
    outcome: Annotated[
        str | None,
        typer.Argument(metavar="OUTCOME", help="Your word for it, such as correct or sold."),
    ] = None,
    request: Annotated[
        str | None, typer.Option("--request", "-r", metavar="ID", help="The id of the request.")
    ] = None,
    arm: Annotated[
        str | None,
        typer.Option("--arm", help="Whose answers: the arm's name, or its physical model."),
    ] = None,
    value: Annotated[
        int | None, typer.Option("--value", min=0, max=1, help="1: it was so; 0: it was not.")
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", help="Of how many answers it was so.")
    ] = None,
    of: Annotated[int | None, typer.Option("--of", help="Of how many that were judged.")] = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file",
            metavar="FILE",
            help="Many reports, a JSON object in each line; - reads standard input.",
        ),
    ] = None,
) -> None:
    """Report what became of answers, or without an outcome show what was reported in a day.

    Rollouts with a metric of kind feedback are decided by it. The role reporter is enough.
    """
    said = {"request_id": request, "arm": arm, "value": value, "count": count, "of": of}
    given = {key: each for key, each in said.items() if each is not None}
    if file is not None:
        if outcome or given:
            raise typer.BadParameter("--file has whole reports: say nothing beside it")
        reports = _read(file)
    elif outcome is None:
        if given:
            raise typer.BadParameter(f"which outcome? {WHAT}")
        with session.client() as client:
            _show(session, endpoint, client.feedback_summary(endpoint))
        return
    else:
        reports = [{"outcome": outcome, **given}]
    with session.client() as client:
        _say(session, client.send_feedback(endpoint, reports))


def _read(file: str) -> list[dict[str, Any]]:
    where = "standard input" if file == "-" else file
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"cannot read {where}: {error}") from error
    reports = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            report = json.loads(line)
        except ValueError as error:
            raise typer.BadParameter(f"{where}, line {number} is not JSON: {error}") from error
        if not isinstance(report, dict):
            raise typer.BadParameter(f"{where}, line {number} is no JSON object")
        reports.append(report)
    if not reports:
        raise typer.BadParameter(f"{where} has no report in it")
    return reports


def _say(session: Session, taken: FeedbackTaken) -> None:
    if session.as_json:
        session.emit(asdict(taken))
        return
    parts = [f"{taken.counted} counted"]
    if taken.waiting:
        parts.append(f"{taken.waiting} waiting for the arm that answered")
    if taken.repeated:
        parts.append(f"{taken.repeated} known before")
    session.success(", ".join(parts))


def _show(session: Session, endpoint: str, summary: FeedbackSummary) -> None:
    if session.as_json:
        session.emit(summary.raw)
        return
    if summary.counts:
        table = render.table("arm", "outcome", "share", "of", right=("share", "of"))
        for each in summary.counts:
            share = f"{100 * each.count / each.of:.2f} %"
            table.add_row(each.arm, each.outcome, share, str(each.of))
        session.out.print(table)
    else:
        session.note(f"nothing was reported of {endpoint} in a day")
    if summary.waiting:
        session.note(f"{summary.waiting} reports wait for the arm that answered")
    if summary.unresolved:
        session.note(
            f"{summary.unresolved} reports are of requests that no server knew: they count for "
            "no arm"
        )

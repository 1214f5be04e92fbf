"""`nereid analysis simulate` and `replay`: what a template would do, and would have done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from nereid.cli import render
from nereid.cli.analysis import analysis
from nereid.cli.app import command
from nereid.cli.completing import template_names
from nereid.cli.document_file import option_document
from nereid.cli.session import Session
from nereid.cli.traffic import EndpointArgument
from nereid.times import FORMS, moment
from nereid.trials import Middle, Simulation


@command(
    "simulate",
    "nereid analysis simulate --canary-error 0.02 --baseline-error 0.01 --rate 200 --weight 5",
    "nereid analysis simulate latency --slower 1.2 --with latency=30ms --rate 500 --weight 20",
    "nereid analysis simulate --template mine.json --with candidateOutcome=0.85",
    of=analysis,
)
def simulate(
    session: Session,
    name: Annotated[
        str,
        typer.Argument(metavar="TEMPLATE", help="Its name.", autocompletion=template_names),
    ] = "default",
    file: Annotated[
        str | None,
        typer.Option("--template", metavar="FILE", help="Instead, one in a JSON or TOML file."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Requests in a second, on both arms. [dim]100[/]")
    ] = None,
    weight: Annotated[
        float | None, typer.Option(help="The candidate's percent of them. [dim]5[/]")
    ] = None,
    canary_error: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of its requests. [dim]0.01[/]")
    ] = None,
    baseline_error: Annotated[
        float | None, typer.Option(min=0, max=1, help="The baseline's. [dim]0.01[/]")
    ] = None,
    slower: Annotated[
        float | None, typer.Option(help="Times as long as the candidate takes. [dim]1[/]")
    ] = None,
    burst: Annotated[
        float | None, typer.Option(help="How much each arm varies by itself. [dim]0[/]")
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="WORD=VALUE", help="Another word of docs/analysis.md."),
    ] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Rollouts to play. [dim]100[/]")] = None,
) -> None:
    """Play a template's rollouts: how many it fails, how soon, and what that costs.

    They are judged by the code that judges real ones; nothing is written.
    """
    given = {
        **{"rate": rate, "weight": weight, "slower": slower, "burst": burst},
        **{"candidateError": canary_error, "baselineError": baseline_error},
    }
    scenario = {word: value for word, value in given.items() if value is not None} | _words(more)
    with session.client() as client:
        found = client.simulate(_template(file) if file else name, scenario, runs=runs)
    _show(session, found)


@command(
    "replay",
    "nereid analysis replay digits digits.v2.bb2a8c digits.v1.695b0d --since -1h",
    "nereid analysis replay digits digits.v2.bb2a8c digits.v1.695b0d --template mine.json",
    of=analysis,
)
def replay(
    session: Session,
    endpoint: EndpointArgument,
    candidate: Annotated[
        str, typer.Argument(metavar="CANDIDATE", help="Its physical model, as nereid_arm has it.")
    ],
    baseline: Annotated[
        str, typer.Argument(metavar="BASELINE", help="What it is compared with, the same way.")
    ],
    name: Annotated[
        str, typer.Option("--by", metavar="TEMPLATE", help="The template's name.")
    ] = "default",
    file: Annotated[
        str | None,
        typer.Option("--template", metavar="FILE", help="Instead, one in a JSON or TOML file."),
    ] = None,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help=f"Within a day: {FORMS}.")
    ] = "-1h",
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="When it ends. [dim]now[/]")
    ] = "now",
) -> None:
    """Try a template on what was measured: what a run would have found, and when it had ended.

    Nothing is written. Measurements are kept for a day.
    """
    now = datetime.now(UTC)
    try:
        begins, ends = moment(since, now), moment(until, now)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    template = _template(file) if file else name
    with session.client() as client:
        found = client.replay(endpoint, candidate, baseline, begins, ends, template=template)
    if session.as_json:
        session.emit(found.raw)
        return
    when = found.ended_at or "it would go on"
    session.out.print(render.state(found.phase), Text(found.reason))
    session.note(f"{found.looks} looks, one every {found.look_every:g} s; ended: {when}")


def _words(pairs: list[str] | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs or ():
        word, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} is no WORD=VALUE, such as latency=30ms")
        try:
            found[word] = float(value)
        except ValueError:
            found[word] = value
    return found


def _template(file: str) -> dict[str, Any]:
    return option_document(file, "template", "a JSON object, or a TOML file")


def _show(session: Session, found: Simulation) -> None:
    if session.as_json:
        session.emit(found.raw)
        return
    table = render.table("OF 100 ROLLOUTS", "", "AFTER", "9 OF 10", right=("", "AFTER", "9 OF 10"))
    failed, passed = _times(found.seconds_to_fail), _times(found.seconds_to_succeed)
    table.add_row(render.state("Failed"), _percent(found.failed), *failed)
    for name, share in found.failed_by.items():
        if share and len(found.failed_by) > 1:
            table.add_row(f"  by {name}", _percent(share), "", "")
    table.add_row(render.state("Successful"), _percent(found.successful), *passed)
    table.add_row(render.state("Inconclusive"), _percent(found.inconclusive), "", "")
    session.out.print(table)
    if found.candidate_requests_to_fail and found.harmed_until_failed:
        requests, harmed = found.candidate_requests_to_fail, found.harmed_until_failed
        session.note(
            f"until it fails the candidate has {requests[0]:,.0f} requests (9 of 10: "
            f"{requests[1]:,.0f}), of which {harmed[0]:,.0f} ({harmed[1]:,.0f}) fail"
        )
    session.note(f"{found.runs} rollouts, looked at every {found.look_every:g} s")


def _times(middle: Middle | None) -> tuple[str, str]:
    if middle is None:
        return "", ""
    half, most = (
        f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min" for seconds in middle
    )
    return half, most


def _percent(share: float) -> str:
    return f"{100 * share:.3g}"

"""`nereid perf`: models under load."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from nereid.cli import perf_pictures, render
from nereid.cli.app import command, group
from nereid.cli.completing import server_names
from nereid.cli.perf_targets import load_of, target_of
from nereid.cli.session import REFUSED, Session
from nereid.client import Client
from nereid.perf_resources import PerfRun

perf = group(
    "perf",
    """How good a version, a pipeline or an endpoint is under load, measured by perf_analyzer.

    A run needs a server that may be put under load: `nereid servers lab NAME on`. What the server
    does not hold is loaded for the run, and unloaded after it. Each of these takes --json.""",
    "nereid perf run digits.v3",
    "nereid perf run digits --concurrency 1,2,4,8 --watch",
    "nereid perf compare 11 12",
)

Number = Annotated[int, typer.Argument(metavar="RUN", min=1, help="The run's number.")]


Target = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="An endpoint, a version (digits.v3 or digits:3) or a pipeline's revision.",
    ),
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        help="Where. [dim]Else the one that is a lab.[/]",
        autocompletion=server_names,
    ),
]
Callers = Annotated[
    str | None,
    typer.Option(metavar="LEVELS", help="Callers: 1,2,4,8 or 1-16:4. [dim]Else 1,2,4,8.[/]"),
]
Rates = Annotated[
    str | None,
    typer.Option(metavar="LEVELS", help="Requests a second: 100,200 or 100-500:100."),
]
Distribution = Annotated[
    str | None, typer.Option(help="Of requests at a rate: constant or poisson.")
]
Search = Annotated[bool, typer.Option("--search", help="Look for the most load within the limit.")]
Limit = Annotated[str | None, typer.Option(metavar="DURATION", help="No level above it: 20ms.")]
Percentile = Annotated[int | None, typer.Option(help="That the limit is for: 50, 90, 95 or 99.")]
Window = Annotated[
    str | None, typer.Option(metavar="DURATION", help="A third of each level's time: 2s.")
]
Sent = Annotated[str | None, typer.Option("--input", help="golden, random or zero values.")]
Shapes = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME:SIZES", help="Of an input that varies: tokens:128. Repeatable."),
]
Production = Annotated[bool, typer.Option("--allow-production", help="The server may be no lab.")]
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Draw its levels as they come.")]


@command(
    "run",
    "nereid perf run digits.v3 --concurrency 1,2,4,8",
    "nereid perf run digits.v3 --concurrency 1-64 --search --latency-limit 20ms",
    "nereid perf run digits --request-rate 100-500:100 --distribution poisson --watch",
    of=perf,
)
def run(
    session: Session,
    target: Target,
    server: ServerOption = None,
    concurrency: Callers = None,
    request_rate: Rates = None,
    distribution: Distribution = None,
    search: Search = False,
    latency_limit: Limit = None,
    percentile: Percentile = None,
    protocol: Annotated[str | None, typer.Option(help="grpc or http.")] = None,
    window: Window = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Rows of a request.")] = None,
    sent: Sent = None,
    shape: Shapes = None,
    streaming: Annotated[bool, typer.Option("--streaming", help="Over gRPC streams.")] = False,
    shared_memory: Annotated[str | None, typer.Option(help="none, system or cuda.")] = None,
    allow_production: Production = False,
    reason: Annotated[str, typer.Option(help="Why, for whoever reads it later.")] = "",
    watch: Watch = False,
    detach: Detach = False,
) -> None:
    """Put a model under load, level by level, and wait for what comes of it.

    Ctrl-C leaves the run going: `nereid perf cancel` ends it. Exits 1 when it did not succeed.
    """
    asked: dict[str, Any] = {
        **load_of(concurrency, request_rate, search),
        "distribution": distribution,
        "latency_limit": latency_limit,
        "percentile": percentile,
        "protocol": protocol,
        "window": window,
        "batch": batch,
        "input": sent,
        "shapes": shapes_of(shape or []) or None,
        "streaming": streaming or None,
        "shared_memory": shared_memory,
    }
    with session.client() as client:
        started = client.start_perf_run(
            target_of(client, target),
            server or only_lab(client),
            allow_production=allow_production,
            reason=reason,
            **{key: value for key, value in asked.items() if value is not None},
        )
        session.note(f"perf run {started.id}: {started.target} on {started.server}")
        _follow(session, client, started, watch=watch, detach=detach)


@command("list", "nereid perf list", "nereid perf list --name digits --state succeeded", of=perf)
def list_runs(
    session: Session,
    name: Annotated[str | None, typer.Option(help="Of the model, pipeline or endpoint.")] = None,
    server: Annotated[str | None, typer.Option(autocompletion=server_names)] = None,
    state: Annotated[str | None, typer.Option(help="queued, running, succeeded, …")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="The newest so many.")] = 20,
) -> None:
    """Show the newest runs, with the level of each that had the most throughput."""
    with session.client() as client:
        found = client.perf_runs(name=name, server=server, state=state, limit=limit)
    if session.as_json:
        session.emit({"results": [one.raw for one in found]})
        return
    if not found:
        session.note("No perf runs: nereid perf run digits.v3")
        return
    table = render.table(
        *("RUN", "TARGET", "SERVER", "STATE", "PEAK", "P99", "AT", "ASKED", "BY"),
        right=("RUN", "PEAK", "P99"),
    )
    for one in found:
        best = one.peak
        table.add_row(
            str(one.id),
            Text(one.target, style="bold"),
            one.server,
            render.state(one.state),
            perf_pictures.rate(best.throughput) if best else "-",
            perf_pictures.time(best.p99_us) if best else "-",
            perf_pictures.level(one.kind, best.value) if best else "",
            render.ago(one.created_at),
            one.asked_by,
        )
    session.out.print(table)


@command("show", "nereid perf show 12", "nereid perf show 12 --watch", of=perf)
def show(
    session: Session,
    number: Number,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Until it is over.")] = False,
) -> None:
    """Show what a run measured, level by level, and where its time goes."""
    with session.client() as client:
        found = client.perf_run(number)
        if watch and not session.as_json and not found.over:
            _watched(session, client, found)
            return
    _show(session, found)


@command("cancel", "nereid perf cancel 12", of=perf)
def cancel(
    session: Session,
    number: Number,
    reason: Annotated[str, typer.Option(help="Why, for the audit record.")] = "",
) -> None:
    """End a run. Its load stops within seconds, and what it measured stays."""
    with session.client() as client:
        done = client.cancel_perf_run(number, reason)
    if session.as_json:
        session.emit(done.raw)
        return
    session.success(Text.assemble((f"perf run {done.id}", "bold"), f" is {done.state}"))


@command("accept", "nereid perf accept 12 --reason 'as fast as it has to be'", of=perf)
def accept(
    session: Session,
    number: Number,
    reason: Annotated[str, typer.Option(help="Why, for the audit record.")] = "",
) -> None:
    """Hold later versions of the model against this run (metrics of kind perf_regression)."""
    with session.client() as client:
        done = client.accept_perf_run(number, reason)
    if session.as_json:
        session.emit(done.raw)
        return
    session.success(Text.assemble((f"perf run {done.id}", "bold"), " is accepted"))


@command("compare", "nereid perf compare 11 12", of=perf)
def compare(
    session: Session,
    numbers: Annotated[
        list[int], typer.Argument(metavar="RUN...", min=1, help="The first one is the baseline.")
    ],
) -> None:
    """Hold runs against the first one, at the levels of load that they share."""
    if len(numbers) < 2:
        raise typer.BadParameter("name two runs at least")
    with session.client() as client:
        found = [client.perf_run(number) for number in numbers]
    if session.as_json:
        session.emit({"results": [one.raw for one in found]})
        return
    for one in found:
        session.out.print(perf_pictures.headline(one))
    session.out.print(perf_pictures.compared(found))


def only_lab(client: Client) -> str:
    """The server that is a lab, where it is one alone."""
    servers = client.servers()
    labs = [one.name for one in servers if one.raw.get("lab")]
    if len(labs) == 1:
        return labs[0]
    if labs:
        raise typer.BadParameter(f"say --server: {', '.join(labs)} are labs")
    if len(servers) == 1:  # the server says what is to be done
        return servers[0].name
    names = ", ".join(one.name for one in servers) or "none has registered"
    raise typer.BadParameter(f"say --server; no server is marked as a lab ({names})")


def shapes_of(given: list[str]) -> dict[str, list[int]]:
    """`tokens:128` as the API has it.

    Raises:
        typer.BadParameter: it cannot be read.
    """
    found = {}
    for one in given:
        name, _, sizes = one.rpartition(":")
        try:
            found[name] = [int(size) for size in sizes.split(",")]
        except ValueError:
            name = ""
        if not name:
            raise typer.BadParameter(f"{one!r}: a shape is a name and sizes, such as tokens:128")
    return found


def _follow(
    session: Session, client: Client, started: PerfRun, *, watch: bool, detach: bool
) -> None:
    if detach:
        _show(session, started)
        return
    if watch and not session.as_json:
        done = _watched(session, client, started)
    else:
        done = _waited(session, client, started)
        _show(session, done)
    if done.state != "succeeded":
        raise typer.Exit(REFUSED)


def _waited(session: Session, client: Client, started: PerfRun) -> PerfRun:
    with session.err.status(Text(perf_pictures.said(started))) as status:
        return client.wait_perf_run(
            started.id,
            timeout=24 * 3600,
            on_progress=lambda seen: status.update(Text(perf_pictures.said(seen))),
        )


def _watched(session: Session, client: Client, started: PerfRun) -> PerfRun:
    with Live(console=session.out, auto_refresh=False) as live:
        return client.wait_perf_run(
            started.id,
            timeout=24 * 3600,
            on_progress=lambda seen: live.update(_picture(seen), refresh=True),
        )


def _picture(found: PerfRun) -> RenderableType:
    parts: list[RenderableType] = [perf_pictures.headline(found)]
    if found.levels:
        parts += [perf_pictures.levels(found), perf_pictures.where_time_goes(found)]
    return Group(*parts)


def _show(session: Session, found: PerfRun) -> None:
    if session.as_json:
        session.emit(found.raw)
        return
    session.out.print(_picture(found))

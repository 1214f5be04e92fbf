"""`nereid tune`: how a version is best served, searched for by measurement."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text
from typer.core import TyperGroup

from nereid.cli import perf_pictures, render, tune_pictures
from nereid.cli.app import command, group
from nereid.cli.completing import endpoint_names, server_names
from nereid.cli.perf import (
    Detach,
    Production,
    Sent,
    ServerOption,
    Shapes,
    Window,
    only_lab,
    shapes_of,
)
from nereid.cli.session import REFUSED, Session
from nereid.client import Client
from nereid.tune_resources import Tune

_VERSION = re.compile(r"(?P<name>[a-z0-9_-]+)(?:\.v|:)(?P<number>[0-9]{1,9})")


class RunsVersions(TyperGroup):
    """`nereid tune digits.v3` runs a tune: what is no subcommand is a version."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["run", *args]
        return super().resolve_command(ctx, args)


tune = group(
    "tune",
    """Search for the serving configuration of a version that does best on a server: max batch,
    queue delay, preferred sizes, instances, threads, accelerators.

    An analytical model says what is worth measuring; each trial is a perf run of its own, under a
    name that serves nobody. Each of these takes --json.""",
    "nereid tune digits.v3 --objective throughput --p99 20ms",
    "nereid tune digits.v3 --objective latency --rate 400",
    "nereid tune apply 7 --endpoint digits",
    kind=RunsVersions,
)

Number = Annotated[int, typer.Argument(metavar="TUNE", min=1, help="The tune's number.")]
Limit = Annotated[str | None, typer.Option(metavar="DURATION", help="Limit of the latency: 20ms.")]


Objective = Annotated[str, typer.Option(help="throughput (within a limit) or latency (at a rate).")]
Rate = Annotated[float | None, typer.Option(help="Requests a second, for the objective latency.")]
Callers = Annotated[int | None, typer.Option(min=1, help="Callers at most.")]
Trials = Annotated[int | None, typer.Option(min=3, help="Configurations at most.")]
Budget = Annotated[
    str | None, typer.Option("--time", metavar="DURATION", help="No trial begins after it: 20m.")
]
Spaces = Annotated[
    list[str] | None,
    typer.Option(metavar="WHAT=VALUES", help="Only these values: instances=1,2. Repeatable."),
]
Protocol = Annotated[str | None, typer.Option(help="grpc or http.")]
Rows = Annotated[int | None, typer.Option(min=1, help="Rows of a request.")]
Reason = Annotated[str, typer.Option(help="Why, for whoever reads it later.")]
Apply = Annotated[bool, typer.Option("--apply", help="Apply it at the end, after asking.")]
Endpoint = Annotated[
    str | None,
    typer.Option(
        help="That it is applied to. [dim]Else that of the model's name.[/]",
        autocompletion=endpoint_names,
    ),
]


@command(
    "run",
    "nereid tune digits.v3 --objective throughput --p99 20ms",
    "nereid tune digits.v3 --objective latency --rate 400 --trials 12",
    "nereid tune digits.v3 --p99 20ms --space instances=1,2 --space max_batch_size=8,16,32 --apply",
    of=tune,
)
def run(
    session: Session,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="digits.v3 or digits:3.")],
    server: ServerOption = None,
    objective: Objective = "throughput",
    p99: Limit = None,
    p95: Limit = None,
    p90: Limit = None,
    p50: Limit = None,
    rate: Rate = None,
    max_concurrency: Callers = None,
    trials: Trials = None,
    budget: Budget = None,
    space: Spaces = None,
    window: Window = None,
    protocol: Protocol = None,
    batch: Rows = None,
    sent: Sent = None,
    shape: Shapes = None,
    allow_production: Production = False,
    reason: Reason = "",
    apply: Apply = False,
    endpoint: Endpoint = None,
    detach: Detach = False,
) -> None:
    """Search, show each trial as it comes and why it is tried, and end with the Pareto front and
    the diff.

    Ctrl-C leaves the tune going: `nereid tune cancel` ends it. Exits 1 when it did not succeed.
    """
    asked: dict[str, Any] = {
        "objective": objective,
        **_limit({99: p99, 95: p95, 90: p90, 50: p50}),
        "rate": rate,
        "max_concurrency": max_concurrency,
        "trials": trials,
        "time": budget,
        "space": space_of(space or []) or None,
        "window": window,
        "protocol": protocol,
        "batch": batch,
        "input": sent,
        "shapes": shapes_of(shape or []) or None,
        "allow_production": allow_production,
        "reason": reason,
    }
    with session.client() as client:
        done = _started(session, client, version, server, asked, detach=detach)
        if not detach and done.state != "succeeded":
            raise typer.Exit(REFUSED)
        if apply and done.result and done.result.overrides:
            _apply(session, client, done, endpoint or done.name, yes=False, reason=reason)


@command("list", "nereid tune list", "nereid tune list --name digits", of=tune)
def list_tunes(
    session: Session,
    name: Annotated[str | None, typer.Option(help="Of the model.")] = None,
    server: Annotated[str | None, typer.Option(autocompletion=server_names)] = None,
    state: Annotated[str | None, typer.Option(help="queued, running, succeeded, …")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="The newest so many.")] = 20,
) -> None:
    """Show the newest tunes, and what each of them came to."""
    with session.client() as client:
        found = client.tunes(name=name, server=server, state=state, limit=limit)
    if session.as_json:
        session.emit({"results": [one.raw for one in found]})
        return
    if not found:
        session.note("No tunes: nereid tune digits.v3 --p99 20ms")
        return
    table = render.table(
        *("TUNE", "TARGET", "SERVER", "STATE", "FOR", "CHOSEN", "GAIN", "ASKED", "BY"),
        right=("TUNE", "GAIN"),
    )
    for one in found:
        best = one.result.chosen if one.result else None
        gain = one.result.gain if one.result and one.result.changes else None
        table.add_row(
            str(one.id),
            Text(one.target, style="bold"),
            one.server,
            render.state(one.state),
            tune_pictures.goal(one),
            f"{best.said}: {perf_pictures.rate(best.throughput)}" if best else "-",
            "-" if gain is None else f"{gain:+.0f} %",
            render.ago(one.created_at),
            one.asked_by,
        )
    session.out.print(table)


@command("show", "nereid tune show 7", "nereid tune show 7 --watch", of=tune)
def show(
    session: Session,
    number: Number,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Until it is over.")] = False,
) -> None:
    """Show a tune's trials, the Pareto front, and what it would change."""
    with session.client() as client:
        found = client.tune(number)
        if watch and not session.as_json and not found.over:
            _followed(session, client, found)
            return
    _show(session, found)


@command("cancel", "nereid tune cancel 7", of=tune)
def cancel(
    session: Session,
    number: Number,
    reason: Reason = "",
) -> None:
    """End a tune with the trial that it is at. What it measured stays."""
    with session.client() as client:
        done = client.cancel_tune(number, reason)
    if session.as_json:
        session.emit(done.raw)
        return
    session.success(Text.assemble((f"tune {done.id}", "bold"), f" is {done.state}"))


@command(
    "apply",
    "nereid tune apply 7 --endpoint digits",
    "nereid tune apply 7 --profile digits-tuned",
    of=tune,
)
def apply_found(
    session: Session,
    number: Number,
    endpoint: Endpoint = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Keep it as a serving profile instead.")
    ] = None,
    reason: Reason = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Serve a version as its tune found it best, or keep that as a profile for others."""
    if endpoint and profile:
        raise typer.BadParameter("--endpoint or --profile")
    with session.client() as client:
        found = client.tune(number)
        if profile is None:
            _apply(session, client, found, endpoint or found.name, yes=yes, reason=reason)
            return
        if not found.result or found.state != "succeeded":
            session.failure(f"tune {number} is {found.state}: it came to nothing")
            raise typer.Exit(REFUSED)
        changed = client.put_profile(profile, dict(found.result.profile))
    if session.as_json:
        session.emit(changed.raw)
        return
    session.success(f"profile {profile} serves as tune {number} found it: --profile {profile}")


def _limit(limits: dict[int, str | None]) -> dict[str, Any]:
    """The limit that was said, with its percentile."""
    said = {percentile: limit for percentile, limit in limits.items() if limit}
    if len(said) > 1:
        raise typer.BadParameter("one of --p99, --p95, --p90 and --p50")
    percentile, limit = next(iter(said.items()), (None, None))
    return {"percentile": percentile, "latency_limit": limit}


def _started(
    session: Session,
    client: Client,
    version: str,
    server: str | None,
    asked: dict[str, Any],
    *,
    detach: bool,
) -> Tune:
    """Asks for it, and follows it to its end unless it is to go on alone."""
    match = _VERSION.fullmatch(version)
    if match is None:
        raise typer.BadParameter(f"{version!r}: a version is tuned, such as digits.v3")
    said = {key: value for key, value in asked.items() if value is not None}
    name, number = match["name"], int(match["number"])
    started = client.start_tune(name, number, server or only_lab(client), **said)
    session.note(f"tune {started.id}: {started.target} on {started.server}")
    if not detach:
        return _followed(session, client, started)
    _show(session, started)
    return started


def space_of(given: list[str]) -> dict[str, list[Any]]:
    """`instances=1,2` as the API has it; what the values may be, it says.

    Raises:
        typer.BadParameter: there is no name, or no value.
    """
    found: dict[str, list[Any]] = {}
    for one in given:
        name, sign, values = one.partition("=")
        if not sign or not name:
            raise typer.BadParameter(f"{one!r}: a dimension and its values, such as instances=1,2")
        found[name.strip()] = [_value(text.strip()) for text in values.split(",")]
    return found


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.isascii() and text.isdigit() else text.replace("none", "")


def _apply(
    session: Session, client: Client, found: Tune, endpoint: str, *, yes: bool, reason: str
) -> None:
    if not session.as_json and found.result:
        session.out.print(Group(*tune_pictures.result(found, found.result)))
    if not yes and session.asks and not typer.confirm(f"Serve {endpoint} so?", err=True):
        session.note("Nothing was changed.")
        return
    done = client.apply_tune(found.id, endpoint, reason)
    if session.as_json:
        session.emit(done)
    elif done.get("change"):
        session.success(f"change {done['change']} of {endpoint} waits for a second person")
    else:
        session.success(
            f"{endpoint} is on its way to generation {done.get('generation')}: "
            f"nereid endpoints {endpoint}"
        )


def _followed(session: Session, client: Client, started: Tune) -> Tune:
    """Draws it until it is over, and then the whole of it."""
    if session.as_json or not session.interactive:
        with session.err.status(Text(tune_pictures.said(started))) as status:
            done = client.wait_tune(
                started.id,
                timeout=25 * 3600,
                on_progress=lambda seen: status.update(Text(tune_pictures.said(seen))),
            )
        _show(session, done)
        return done
    with Live(console=session.out, auto_refresh=False) as live:
        return client.wait_tune(
            started.id,
            timeout=25 * 3600,
            on_progress=lambda seen: live.update(tune_pictures.picture(seen), refresh=True),
        )


def _show(session: Session, found: Tune) -> None:
    if session.as_json:
        session.emit(found.raw)
        return
    session.out.print(tune_pictures.picture(found))

"""`nereid rollout`: status, list, and what people do to one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

import typer
from rich.text import Text

from nereid.cli import render, rollout_picture
from nereid.cli.app import command
from nereid.cli.completing import endpoint_names, rollout_names
from nereid.cli.rollout_group import ReasonOption, TimeoutOption, rollout
from nereid.cli.rollout_waiting import follow_rollout
from nereid.cli.session import REFUSED, WAITING, Session
from nereid.cli.watching import WatchOption, drawn
from nereid.client import Client
from nereid.errors import NereidError
from nereid.rollouts import Rollout

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SHOWN = 20

RolloutArgument = Annotated[
    str,
    typer.Argument(
        metavar="ROLLOUT",
        help="The endpoint's name, for its newest rollout; or an id.",
        autocompletion=rollout_names,
    ),
]


@command(
    "status",
    "nereid rollout status digits",
    "nereid rollout status digits --watch",
    "nereid rollout status digits --wait --json",
    of=rollout,
)
def status(
    session: Session,
    name: RolloutArgument,
    watch: WatchOption = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until it is promoted or taken back.")
    ] = False,
    timeout: TimeoutOption = 3600,
) -> None:
    """Show where a rollout stands and why: steps, share, harm, and each metric's bounds against
    its limit. With --wait it exits 0 when it was promoted, else 1."""
    if watch and wait:
        raise typer.BadParameter("--watch draws until Ctrl-C, --wait ends with the rollout")
    if wait:
        with session.client() as client:
            follow_rollout(session, client, find(client, name), timeout)
        return
    drawn(session, lambda paper: _show(paper, name), watch)


def _show(session: Session, name: str) -> None:
    with session.client() as client:
        found = find(client, name)
    if session.as_json:
        session.emit(found.raw)
        return
    for part in rollout_picture.parts(found):
        session.out.print(part)
    if found.waits_for_someone and found.active:
        open_now = [control for control, refusal in found.controls.items() if not refusal]
        session.out.print()
        session.out.print(Text(f"it waits for a person: {', '.join(open_now)}", style="dim"))


@command(
    "list",
    "nereid rollout list",
    "nereid rollout list digits --state rolledBack",
    "nereid rollout list --active --json",
    of=rollout,
)
def list_rollouts(
    session: Session,
    endpoint: Annotated[
        str | None,
        typer.Argument(
            metavar="[ENDPOINT]", help="Only this one's.", autocompletion=endpoint_names
        ),
    ] = None,
    state: Annotated[str | None, typer.Option("--state", help="Only those in this state.")] = None,
    active: Annotated[
        bool | None,
        typer.Option("--active/--ended", help="Only those under way, or those that have ended."),
    ] = None,
    most: Annotated[int, typer.Option("--most", help="At most so many.", min=1)] = SHOWN,
) -> None:
    """Show rollouts, the newest first."""
    with session.client() as client:
        found = client.rollouts(endpoint, state=state, active=active, most=most)
    if session.as_json:
        session.emit({"results": [one.raw for one in found]})
        return
    if not found:
        session.note("No rollouts.")
        return
    table = render.table("ENDPOINT", "NUMBER", "TO", "STATE", "SHARE", "HARM", "STARTED", "REASON")
    for one in found:
        table.add_row(
            Text(one.endpoint, style="bold"),
            str(one.number),
            one.target,
            render.state(one.state),
            "-" if one.share is None else render.percent(one.share),
            f"{one.harm_spent}/{one.harm_budget}",
            Text(f"{one.started_by} {render.ago(one.created_at)}", style="dim"),
            Text(one.reason, style="dim"),
        )
    session.out.print(table)


def find(client: Client, name: str) -> Rollout:
    """The rollout of that id, or the newest one of the endpoint of that name.

    Raises:
        NereidError: there is none.
    """
    if _ID.fullmatch(name):
        return client.rollout(name)
    newest = client.rollouts(name, most=1)
    if not newest:
        client.endpoint(name)  # says so where there is none
        raise NereidError(f"{name} has had no rollout\nStart one: nereid rollout start {name} 2")
    return client.rollout(newest[0].id)


Call = Callable[[Client, str, str | None], Rollout]


def _controlled(session: Session, name: str, call: Call, reason: str | None) -> Rollout:
    with session.client() as client:
        done = call(client, find(client, name).id, reason)
    if session.as_json:
        session.emit(done.raw)
    else:
        title = (f"rollout {done.number} of {done.endpoint}", "bold")
        session.success(Text.assemble(title, f" is {done.state}: {done.reason}"))
    return done


@command("promote", "nereid rollout promote digits --reason 'we have seen enough'", of=rollout)
def promote(
    session: Session,
    name: RolloutArgument,
    reason: ReasonOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask on a terminal.")] = False,
) -> None:
    """Skip what steps are left: the candidate gets everything. Of one that is promoted already,
    the watch ends."""
    if not yes and session.asks and not typer.confirm(f"Everything of {name} now?", err=True):
        session.note("nothing was done")
        raise typer.Exit(REFUSED)
    _controlled(session, name, Client.promote_rollout, reason)


@command("skip", "nereid rollout skip digits", of=rollout)
def skip(session: Session, name: RolloutArgument, reason: ReasonOption = None) -> None:
    """Leave the present step for the next one."""
    _controlled(session, name, Client.skip_rollout_step, reason)


@command("pause", "nereid rollout pause digits --reason 'lunch'", of=rollout)
def pause(session: Session, name: RolloutArgument, reason: ReasonOption = None) -> None:
    """Hold it where it is until it is resumed; what is measured is still measured."""
    _controlled(session, name, Client.pause_rollout, reason)


@command("resume", "nereid rollout resume digits", of=rollout)
def resume(session: Session, name: RolloutArgument, reason: ReasonOption = None) -> None:
    """Let it go on where it was paused; what was inconclusive is measured anew."""
    _controlled(session, name, Client.resume_rollout, reason)


@command("abort", "nereid rollout abort digits --reason 'labels are off'", of=rollout)
def abort(session: Session, name: RolloutArgument, reason: ReasonOption = None) -> None:
    """Take it back at once, by the routers alone: nothing is loaded for it."""
    _controlled(session, name, Client.abort_rollout, reason)


@command("retry", "nereid rollout retry digits", of=rollout)
def retry(session: Session, name: RolloutArgument, reason: ReasonOption = None) -> None:
    """Begin anew what ended without being promoted, with what is left of its harm budget."""
    done = _controlled(session, name, Client.retry_rollout, reason)
    if done.state == "awaitingApproval":
        raise typer.Exit(WAITING)


@command("approve", "nereid rollout approve digits --reason 'looked at the evidence'", of=rollout)
def approve(session: Session, name: RolloutArgument, reason: ReasonOption = None) -> None:
    """Let it go on where it waits for an approval. Where the endpoint has the four-eyes rule,
    whoever started it is refused."""
    _controlled(session, name, Client.approve_rollout, reason)

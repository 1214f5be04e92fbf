"""`nereid changes` and `four-eyes`: what waits for a second person, and who lets it through."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from nereid.approvals import ChangeRequest
from nereid.cli import render
from nereid.cli.app import command, group
from nereid.cli.completing import endpoint_names
from nereid.cli.following import follow
from nereid.cli.session import Session

EndpointArgument = Annotated[
    str,
    typer.Argument(metavar="ENDPOINT", help="The public name.", autocompletion=endpoint_names),
]
NumberArgument = Annotated[
    int, typer.Argument(metavar="CHANGE", help="Its number, as `list` shows it.", min=1)
]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="For the other person and the audit.")
]
STATES = ("pending", "approved", "rejected", "withdrawn", "superseded")

changes = group(
    "changes",
    """What waits for a second person, where an endpoint has the four-eyes rule: whoever asks for a
    change of its traffic cannot approve it.

    Each takes --json.""",
    "nereid changes list",
    "nereid changes show digits 3",
    "nereid changes approve digits 3 --reason 'looked at the diff'",
)


@command("list", "nereid changes list", "nereid changes list digits --state approved", of=changes)
def list_changes(
    session: Session,
    endpoint: Annotated[
        str | None,
        typer.Argument(
            metavar="[ENDPOINT]", help="All of this one's.", autocompletion=endpoint_names
        ),
    ] = None,
    state: Annotated[
        str | None, typer.Option("--state", help=f"Only those: {', '.join(STATES)}.")
    ] = None,
) -> None:
    """Show what waits everywhere; of one endpoint also what was decided."""
    wanted = next((known for known in STATES if known == state), None)
    if state is not None and wanted is None:
        raise typer.BadParameter(f"{state!r}: a change is {', '.join(STATES)}")
    found: list[ChangeRequest] = []
    with session.client() as client:
        if endpoint is not None:
            found = client.changes(endpoint, wanted)  # type: ignore[arg-type] # one of STATES
        elif wanted not in (None, "pending"):
            raise typer.BadParameter("name an endpoint to see what was decided there")
        else:
            for one in client.endpoints():
                if one.pending_change is not None:
                    found += client.changes(one.name, "pending")
    if session.as_json:
        session.emit({"results": [change.raw for change in found]})
        return
    if not found:
        session.note("Nothing waits for a second person." if endpoint is None else "No changes.")
        return
    table = render.table("ENDPOINT", "CHANGE", "STATE", "ASKED BY", "WHEN", "DECIDED BY", "WHY")
    for change in found:
        table.add_row(
            Text(change.endpoint, style="bold"),
            str(change.number),
            _state(change),
            change.asked_by,
            Text(render.ago(change.asked_at), style="dim"),
            change.decided_by or "-",
            Text(change.reason, style="dim"),
        )
    session.out.print(table)


@command("show", "nereid changes show digits 3", "nereid changes show digits 3 --json", of=changes)
def show(session: Session, endpoint: EndpointArgument, number: NumberArgument) -> None:
    """Show one change: who asked, why, and what it does, file by file."""
    with session.client() as client:
        change = client.change(endpoint, number)
    if session.as_json:
        session.emit(change.raw)
        return
    if change.plan:
        for part in render.plan_parts(change.plan):
            session.out.print(part)
        session.out.print()
    session.out.print(_headline(change))
    if change.reason:
        session.out.print(f"why: {change.reason}")
    if change.stale:
        session.failure(change.stale)
    elif change.waits:
        session.note(f"somebody else than {change.asked_by} lets it through:")
        session.note(f"  nereid changes approve {endpoint} {number}")


@command(
    "approve",
    "nereid changes approve digits 3",
    "nereid changes approve digits 3 --reason 'looked at the diff' --no-wait",
    of=changes,
)
def approve(
    session: Session,
    endpoint: EndpointArgument,
    number: NumberArgument,
    reason: ReasonOption = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it serves.")] = True,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")] = 120,
) -> None:
    """Let a change through that somebody else asked for, and wait until it serves.

    Exits 1 when you asked for it yourself, when it is decided, or when the policy moved on since.
    """
    with session.client() as client:
        accepted = client.approve_change(endpoint, number, reason)
        follow(session, client, accepted, wait, timeout)


@command("reject", "nereid changes reject digits 3 --reason 'not on a Friday'", of=changes)
def reject(
    session: Session,
    endpoint: EndpointArgument,
    number: NumberArgument,
    reason: ReasonOption = None,
) -> None:
    """End a change that somebody else asked for; traffic stays as it is."""
    with session.client() as client:
        _ended(session, client.reject_change(endpoint, number, reason))


@command("withdraw", "nereid changes withdraw digits 3", of=changes)
def withdraw(
    session: Session,
    endpoint: EndpointArgument,
    number: NumberArgument,
    reason: ReasonOption = None,
) -> None:
    """Take back a change of your own."""
    with session.client() as client:
        _ended(session, client.withdraw_change(endpoint, number, reason))


@command("four-eyes", "nereid four-eyes digits", "nereid four-eyes digits on")
def four_eyes(
    session: Session,
    endpoint: EndpointArgument,
    wanted: Annotated[
        str | None, typer.Argument(metavar="[on|off]", help="Else it says which it is.")
    ] = None,
) -> None:
    """Have changes of an endpoint's traffic approved by a second person, or no longer.

    On takes the right to change the endpoint, off the role admin. Rollback and kill stay open to
    one person; the endpoint cannot be deleted while it is on.
    """
    if wanted not in (None, "on", "off"):
        raise typer.BadParameter(f"{wanted!r}: the rule is switched on or off")
    with session.client() as client:
        if wanted is None:
            found = client.endpoint(endpoint)
        else:
            found = client.set_four_eyes(endpoint, wanted == "on")
    if session.as_json:
        session.emit(found.raw)
        return
    says = "a second person approves its changes" if found.four_eyes else "one person changes it"
    rule = f" has the four-eyes rule {'on' if found.four_eyes else 'off'}: {says}"
    session.success(Text.assemble((found.name, "bold"), rule))


def _ended(session: Session, change: ChangeRequest) -> None:
    if session.as_json:
        session.emit(change.raw)
        return
    name = f"change {change.number} of {change.endpoint}"
    session.success(Text.assemble((name, "bold"), f" is {change.state}; traffic stays as it is"))


def _headline(change: ChangeRequest) -> Text:
    text = Text.assemble((f"{change.endpoint} change {change.number}", "bold"), "  ")
    text.append_text(_state(change))
    text.append(f"  asked for by {change.asked_by} {render.ago(change.asked_at)}", style="dim")
    if change.decided_by:
        why = f": {change.decided_reason}" if change.decided_reason else ""
        text.append(f", {change.state} by {change.decided_by}{why}", style="dim")
    return text


def _state(change: ChangeRequest) -> Text:
    return render.state("stale" if change.stale else change.state)

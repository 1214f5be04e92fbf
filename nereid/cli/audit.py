"""`nereid audit`: who did what, and what served when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, overload

import typer
from rich.text import Text
from typer.core import TyperCommand

from nereid.administration import AuditEvent
from nereid.cli import render
from nereid.cli.app import command, listing
from nereid.cli.completing import endpoint_names
from nereid.cli.session import REFUSED, Session
from nereid.resources import Revision
from nereid.times import FORMS, is_distance, moment

SHOWN = 30


class DistancesAreArguments(TyperCommand):
    """`-1h` stands for a time here, where a command line expects an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [f"now{a}" if is_distance(a) else a for a in args])


@listing(
    "audit",
    "nereid audit --actor ada --limit 2000",
    "nereid audit --since -2d --all --json",
    "nereid audit --on digits --action endpoint.policy",
    "nereid audit at digits -1h",
)
def audit(
    session: Session,
    on: Annotated[
        str | None, typer.Option("--on", metavar="NAME", help="What it was done to.")
    ] = None,
    actor: Annotated[
        str | None, typer.Option("--actor", metavar="NAME", help="Who did it.")
    ] = None,
    action: Annotated[
        str | None, typer.Option("--action", metavar="ACTION", help="Such as endpoint.policy.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="Such as endpoint or version.")
    ] = None,
    request: Annotated[
        str | None,
        typer.Option("--request", metavar="ID", help="What one request did, workers included."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help=f"From then on: {FORMS}.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Before that time.")
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", metavar="TEXT", help="In names and reasons.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="How many, the newest first.")
    ] = SHOWN,
    everything: Annotated[
        bool, typer.Option("--all", help="All that there is of it, however many.")
    ] = False,
) -> None:
    """List who did what, newest first; `audit at` says what served at a time."""
    with session.client() as client:
        found = client.audit(
            actor=actor,
            action=action,
            object_type=kind,
            object_name=on,
            request_id=request,
            since=_moment(since),
            until=_moment(until),
            search=search,
            # One more than is shown tells whether there are more.
            limit=None if everything else limit + 1,
        )
    _list(session, found, len(found) if everything else limit)


def _list(session: Session, found: list[AuditEvent], limit: int) -> None:
    shown = found[:limit]
    if session.as_json:
        session.emit({"results": [event.raw for event in shown]})
        return
    if not shown:
        session.note("Nothing of that kind was done.")
        return
    table = render.table("AT", "ACTOR", "ACTION", "ON", "REASON")
    for event in shown:
        table.add_row(
            Text(_exact(event.at), style="dim"),
            event.actor,
            event.action,
            Text(event.object_name, style="bold"),
            Text(event.reason, style="dim"),
        )
    session.out.print(table)
    if len(found) > limit:
        session.note(f"The newest {limit}. There are more: --limit N, --since TIME or --all.")


@command(
    "at",
    "nereid audit at digits 2026-11-26T10:00Z",
    "nereid audit at digits -1h",
    "nereid audit at digits now --json",
    of=audit,
    kind=DistancesAreArguments,
)
def at(
    session: Session,
    endpoint: Annotated[
        str,
        typer.Argument(metavar="ENDPOINT", help="The public name.", autocompletion=endpoint_names),
    ],
    time: Annotated[str, typer.Argument(metavar="TIME", help=FORMS)],
) -> None:
    """Say what served an endpoint at a time, also one that is gone.

    Two answers mean that a change was on its way. Exits 1 when nothing served then.
    """
    then = _moment(time)
    with session.client() as client:
        found = client.served_at(endpoint, then)
    if session.as_json:
        session.emit({"at": then.isoformat(), "results": [revision.raw for revision in found]})
    elif not found:
        session.failure(f"nothing served {endpoint} at {_exact(then.isoformat())}")
    for revision in () if session.as_json else found:
        _show(session, endpoint, revision)
    if not found:
        raise typer.Exit(REFUSED)


def _show(session: Session, endpoint: str, revision: Revision) -> None:
    since = revision.served_from or str(revision.raw.get("switched_from") or "")
    until = _exact(revision.served_until) if revision.served_until else "now"
    title = Text.assemble((f"{endpoint} revision {revision.number}", "bold"))
    by = f"made by {revision.created_by}"
    if revision.approved_by:
        by = f"asked for by {revision.created_by}, approved by {revision.approved_by}"
    title.append(f"  {_exact(since)} to {until}, {by}", style="dim")
    session.out.print(title)
    if revision.reason:
        session.out.print(Text(revision.reason, style="italic"))
    session.out.print(render.arms(revision.arms))


@overload
def _moment(text: str) -> datetime: ...
@overload
def _moment(text: None) -> None: ...
def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else moment(text, datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _exact(timestamp: str) -> str:
    """To the second, in UTC: an audit speaks of moments, not of distances."""
    try:
        then = datetime.fromisoformat(timestamp)
    except ValueError:
        return timestamp
    return f"{then.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"

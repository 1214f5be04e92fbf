"""`nereid endpoints`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from nereid.cli import render
from nereid.cli.app import command
from nereid.cli.completing import endpoint_names
from nereid.cli.session import Session
from nereid.cli.watching import WatchOption, drawn
from nereid.drawing import BAD, split_bar
from nereid.resources import Endpoint, Revision

SHOWN_REVISIONS = 5
LIST_BAR = 20


@command(
    "endpoints", "nereid endpoints", "nereid endpoints digits", "nereid endpoints digits --json"
)
def endpoints(
    session: Session,
    name: Annotated[
        str | None,
        typer.Argument(
            help="Show this endpoint in full.", metavar="[NAME]", autocompletion=endpoint_names
        ),
    ] = None,
    watch: WatchOption = False,
) -> None:
    """List the endpoints with how their traffic is split, or show one."""
    drawn(session, lambda on: _draw(on, name), watch)


def _draw(session: Session, name: str | None) -> None:
    with session.client() as client:
        if name:
            endpoint = client.endpoint(name)
            if session.as_json:
                session.emit(endpoint.raw)
            else:
                _show(session, endpoint, client.revisions(name))
            return
        found = client.endpoints()
    if session.as_json:
        session.emit({"results": [endpoint.raw for endpoint in found]})
        return
    if not found:
        session.note("No endpoints yet: nereid deploy NAME MODEL:VERSION=100 --create")
        return
    table = render.table("ENDPOINT", "STATUS", "TRAFFIC", "")
    table.columns[2].no_wrap = True
    table.columns[2].min_width = LIST_BAR
    for endpoint in found:
        names = ", ".join(f"{arm.target} {render.percent(arm.weight)}" for arm in endpoint.arms)
        table.add_row(
            Text(endpoint.name, style="bold"),
            render.state(endpoint.status),
            split_bar([arm.weight for arm in endpoint.arms], LIST_BAR),
            names or Text("no policy", style="dim"),
        )
    session.out.print(table)
    for endpoint in found:
        if endpoint.status != "Healthy":
            session.out.print()
            session.out.print(Text.assemble((endpoint.name, "bold"), f"  {endpoint.reason}"))


def _show(session: Session, endpoint: Endpoint, revisions: list[Revision]) -> None:
    session.out.print(render.headline(endpoint))
    if endpoint.pending_change is not None:
        waits = f"change {endpoint.pending_change} waits for a second person"
        look = f"nereid changes show {endpoint.name} {endpoint.pending_change}"
        session.out.print(Text.assemble(waits, (f": {look}", "dim")))
    if endpoint.description:
        session.out.print(Text(endpoint.description, style="dim"))
    if endpoint.arms:
        session.out.print()
        session.out.print(render.arms(endpoint.arms))
        words = render.policy_words(endpoint.policy or {})
        if words:
            session.out.print()
            session.out.print(words)
    servers = endpoint.raw.get("servers") or ()
    if servers:
        session.out.print()
        table = render.table("SERVER", "STATUS", "GENERATION", "REASON", right=("GENERATION",))
        for server in servers:
            table.add_row(
                str(server.get("server") or ""),
                render.state(str(server.get("status") or "")),
                str(server.get("generation") or "-"),
                Text(" ".join(str(server.get("reason") or "").split()), style="dim"),
            )
        session.out.print(table)
    if drift := endpoint.raw.get("drift"):
        session.out.print()
        render.drift(session.out, drift, servers=True)
    if revisions:
        session.out.print()
        table = render.table("REVISION", "STATE", "BY", "MADE", "TRAFFIC", right=("REVISION",))
        latest = sorted(revisions, key=lambda revision: -revision.number)[:SHOWN_REVISIONS]
        for revision in latest:
            table.add_row(
                str(revision.number),
                _state(revision, endpoint),
                _people(revision),
                Text(render.ago(revision.created_at), style="dim"),
                _traffic(revision),
            )
        session.out.print(table)


def _state(revision: Revision, endpoint: Endpoint) -> Text:
    if revision.error:
        return Text(revision.error, style=BAD)
    if revision.number == endpoint.revision:
        return Text("serves" if revision.served_from else "comes next", style="bold")
    return Text("served" if revision.served_from else "never served", style="dim")


def _people(revision: Revision) -> str:
    by = revision.created_by or "-"
    return f"{by}, {revision.approved_by}" if revision.approved_by else by


def _traffic(revision: Revision) -> str:
    arms = (revision.policy or {}).get("arms") or ()
    return ", ".join(
        f"{arm.get('pipeline') or arm['model']}:{arm.get('revision') or arm['version']} "
        f"{render.percent(float(arm.get('weight') or 0))}"
        for arm in arms
    )

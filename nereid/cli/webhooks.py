"""`nereid webhooks`: who is told of what happens, and what became of each delivery."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from nereid.cli import render
from nereid.cli.app import command, group
from nereid.cli.session import REFUSED, Session
from nereid.deliveries import Delivery, Webhook, WebhookWithSecret

STATES = ("pending", "delivered", "failed", "abandoned")
TEST_PATIENCE_S = 30.0

webhooks = group(
    "webhooks",
    """Tell other servers what happens: signed, retried for a day, with a log.

    Each of these takes --json.""",
    "nereid webhooks create deploys https://hooks.example.com/nereid --on 'version.*'",
    "nereid webhooks test deploys",
    "nereid webhooks deliveries deploys --state failed",
)

Name = Annotated[str, typer.Argument(metavar="WEBHOOK", help="The webhook's name.")]
Which = Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id, from the list.")]


@command("list", "nereid webhooks list", of=webhooks)
def list_webhooks(session: Session) -> None:
    """Show the webhooks, and how their receivers are doing."""
    with session.client() as client:
        found = client.webhooks()
    if session.as_json:
        session.emit({"results": [one.raw for one in found]})
        return
    if not found:
        session.note("No webhooks. `nereid webhooks create NAME URL --on EVENT` makes one.")
        return
    table = render.table("WEBHOOK", "STATE", "TOLD OF", "ABOUT", "URL")
    for one in found:
        table.add_row(
            Text(one.name, style="bold"),
            render.state(one.state),
            ", ".join(one.events),
            _about(one),
            one.url,
        )
    session.out.print(table)
    for one in found:
        if one.disabled_reason:
            session.note(f"{one.name}: {one.disabled_reason}")


@command("events", "nereid webhooks events", of=webhooks)
def events(session: Session) -> None:
    """Show every event that there is; --json has the schemas of their payloads and examples."""
    with session.client() as client:
        found = client.webhook_events()
    if session.as_json:
        shown = [
            {"type": e.type, "description": e.description, "schema": e.schema, "example": e.example}
            for e in found
        ]
        session.emit({"results": shown})
        return
    table = render.table("EVENT", "COMES WHEN")
    for event in found:
        table.add_row(Text(event.type, style="bold"), event.description)
    session.out.print(table)


@command(
    "create",
    "nereid webhooks create deploys https://hooks.example.com/nereid --on 'version.*'",
    "nereid webhooks create pager https://pager.example.com/x --on revision.failed --only digits",
    of=webhooks,
)
def create(
    session: Session,
    name: Annotated[str, typer.Argument(help="What it is called.")],
    url: Annotated[str, typer.Argument(metavar="URL", help="Where it is told: https://…")],
    on: Annotated[
        list[str],
        typer.Option("--on", metavar="EVENT", help="Like version.ready, 'version.*', '*'; again."),
    ],
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Only about this model or endpoint; again."),
    ] = None,
) -> None:
    """Make a webhook, and print the secret that signs its deliveries: it is shown this once.

    The secret alone goes to standard output.
    """
    with session.client() as client:
        made = client.create_webhook(name, url, on, names=only)
    _print_secret(session, made, f" is told of {', '.join(made.events)}")


@command(
    "edit",
    "nereid webhooks edit deploys --on 'version.*' --on 'revision.*'",
    "nereid webhooks edit deploys --disable",
    of=webhooks,
)
def edit(
    session: Session,
    name: Name,
    url: Annotated[str | None, typer.Option("--url", help="Another URL.")] = None,
    on: Annotated[
        list[str] | None, typer.Option("--on", metavar="EVENT", help="These events instead; again.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Only about this instead; 'all': everything."),
    ] = None,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Switch it on or off.")
    ] = None,
) -> None:
    """Change a webhook. Disabled, what is on its way to it is abandoned."""
    names = [] if only == ["all"] else only
    if (url, on, names, enable) == (None, None, None, None):
        raise typer.BadParameter("say what to change: --url, --on, --only, --enable or --disable")
    with session.client() as client:
        changed = client.update_webhook(name, url=url, events=on, names=names, enabled=enable)
    if session.as_json:
        session.emit(changed.raw)
        return
    told = f" is {changed.state}, told of {', '.join(changed.events)}, about {_about(changed)}"
    session.success(Text.assemble((changed.name, "bold"), told))


@command("delete", "nereid webhooks delete deploys", of=webhooks)
def delete(session: Session, name: Name) -> None:
    """Remove a webhook with the log of its deliveries."""
    with session.client() as client:
        client.delete_webhook(name)
    if session.as_json:
        session.emit({"name": name, "deleted": True})
        return
    session.success(f"{name} is deleted")


@command("test", "nereid webhooks test deploys", of=webhooks)
def test(session: Session, name: Name) -> None:
    """Send a ping, and say what came of it. Exits 1 unless it arrived."""
    with session.client() as client:
        sent = client.test_webhook(name)
        found = client.wait_delivery(name, sent.id, timeout=TEST_PATIENCE_S)
    _print_delivery(session, found)
    if found.state != "delivered":
        raise typer.Exit(REFUSED)


@command(
    "rotate",
    "nereid webhooks rotate deploys",
    "nereid webhooks rotate deploys --overlap 0s",
    of=webhooks,
)
def rotate(
    session: Session,
    name: Name,
    overlap: Annotated[
        str, typer.Option("--overlap", metavar="DURATION", help="The old one signs on for so long.")
    ] = "24h",
) -> None:
    """Make a new secret, and print it: it is shown this once."""
    with session.client() as client:
        made = client.rotate_webhook(name, overlap=overlap)
    until = made.old_secret_until
    _print_secret(session, made, f": the old secret signs too until {until}" if until else "")


@command(
    "deliveries",
    "nereid webhooks deliveries deploys",
    "nereid webhooks deliveries deploys --state failed --json",
    of=webhooks,
)
def deliveries(
    session: Session,
    name: Name,
    state: Annotated[
        str | None, typer.Option("--state", help=f"Only those: {', '.join(STATES)}.")
    ] = None,
    event: Annotated[str | None, typer.Option("--event", help="Only of this event.")] = None,
) -> None:
    """Show what was sent to a webhook, the newest first."""
    if state is not None and state not in STATES:
        raise typer.BadParameter(f"{state!r}: a delivery is {', '.join(STATES)}")
    with session.client() as client:
        found = client.deliveries(name, state=state, event=event)
    if session.as_json:
        session.emit({"results": [one.raw for one in found]})
        return
    if not found:
        session.note("Nothing was sent. `nereid webhooks test NAME` sends a ping.")
        return
    table = render.table("EVENT", "STATE", "TRIES", "WHEN", "WHY", "ID", right=("TRIES",))
    for one in found:
        table.add_row(
            Text(one.event, style="bold"),
            render.state(one.state),
            str(one.tries),
            render.ago(one.created_at),
            one.reason,
            Text(one.id, style="dim"),
        )
    session.out.print(table)


@command("show", "nereid webhooks show deploys 4f3c6b1e-8a52-4c0e-9d2f-6f5f1e0f9a11", of=webhooks)
def show(session: Session, name: Name, which: Which) -> None:
    """Show a delivery with every attempt; --json has what was sent too."""
    with session.client() as client:
        found = client.delivery(name, which)
    _print_delivery(session, found)


@command(
    "redeliver",
    "nereid webhooks redeliver deploys 4f3c6b1e-8a52-4c0e-9d2f-6f5f1e0f9a11",
    of=webhooks,
)
def redeliver(session: Session, name: Name, which: Which) -> None:
    """Send a delivery again, under the id that it had."""
    with session.client() as client:
        sent = client.redeliver(name, which)
    if session.as_json:
        session.emit(sent.raw)
        return
    session.success(f"{sent.event} is on its way again")


def _about(webhook: Webhook) -> str:
    return ", ".join(webhook.names) if webhook.names else "everything"


def _print_secret(session: Session, made: WebhookWithSecret, told: str) -> None:
    if session.as_json:
        session.emit(made.raw)
        return
    session.success(Text.assemble((made.name, "bold"), told))
    session.note("Copy the secret now: it is shown this once. Receivers check signatures with it.")
    session.out.print(made.secret, soft_wrap=True)


def _print_delivery(session: Session, found: Delivery) -> None:
    if session.as_json:
        session.emit(found.raw)
        return
    head = Text.assemble((found.event, "bold"), " ", render.state(found.state))
    session.out.print(head)
    if found.reason:
        session.out.print(Text(found.reason))
    if not found.attempts:
        session.note("It was not tried yet.")
        return
    table = render.table("WHEN", "TOOK", "STATUS", "WHY", "ANSWER", right=("TOOK", "STATUS"))
    for one in found.attempts:
        table.add_row(
            render.ago(one.at),
            f"{one.duration_ms} ms",
            str(one.status or "-"),
            one.error,
            Text(_plain(one.answer)[:200], style="dim"),
        )
    session.out.print(table)


def _plain(text: str) -> str:
    """What a receiver answered, without what a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in text)

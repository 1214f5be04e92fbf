"""Watching a change of traffic until it serves, as several commands do."""

from __future__ import annotations

import time

import typer
from rich.text import Text

from nereid.approvals import ChangeRequest
from nereid.cli import render
from nereid.cli.session import REFUSED, WAITING, Session
from nereid.client import Client
from nereid.errors import WaitTimeoutError
from nereid.resources import Accepted, Endpoint


def follow(
    session: Session, client: Client, accepted: Accepted, wait: bool, timeout: float
) -> None:
    """Watch a change until it serves or cannot; a person sees every status and reason once."""
    name = accepted.endpoint
    if not wait:
        if session.as_json:
            session.emit(accepted.raw)
        else:
            session.success(
                f"{name}: generation {accepted.generation} accepted; it goes on without you"
            )
        return
    started = time.monotonic()
    said: list[str] = []
    with session.err.status(Text(f"{name}: {accepted.status}")) as status:

        def show(endpoint: Endpoint) -> None:
            line = ": ".join(part for part in (endpoint.status, endpoint.reason) if part)
            status.update(Text(f"{name}: {line}"))
            if not said or said[-1] != line:
                said.append(line)
                # A terminal shows the spinner; a log gets each change as a line.
                if not session.err.is_terminal:
                    session.note(f"{name}: {line}")

        endpoint = client.wait_endpoint(
            name, generation=accepted.generation, timeout=timeout, on_progress=show
        )
    _settled(session, endpoint, time.monotonic() - started)


def follow_change(
    session: Session, client: Client, accepted: Accepted, number: int, wait: bool, timeout: float
) -> None:
    """Say that a change waits for a second person; with `wait`, watch until they have decided.

    Exits 3 while it waits: traffic is where it was, and a script that goes on should know.
    """
    name = accepted.endpoint
    if not session.as_json:
        _say_who_is_awaited(session, name, number)
    if not wait:
        if session.as_json:
            session.emit(accepted.raw)
        raise typer.Exit(WAITING)
    started = time.monotonic()
    try:
        with session.err.status(Text(f"{name}: change {number} waits for a second person")):
            change = client.wait_change(name, number, timeout=timeout)
    except WaitTimeoutError as error:
        session.report(error)
        raise typer.Exit(WAITING) from error
    if change.state == "approved":
        if not session.as_json:
            session.success(f"{change.decided_by} approved change {number}")
        following = Accepted(name, change.generation + 1, "Progressing", None, accepted.raw)
        left = max(1.0, timeout - (time.monotonic() - started))
        follow(session, client, following, True, left)
        return
    _say_how_it_ended(session, change)
    raise typer.Exit(REFUSED)


def _say_who_is_awaited(session: Session, name: str, number: int) -> None:
    session.success(
        Text.assemble(
            "waiting for a second person: ",
            (f"change {number} of {name}", "bold"),
            " is checked and kept, and traffic stays as it is until somebody else approves it",
        )
    )
    for verb, who in (
        ("approve", "somebody else who may change it"),
        ("show", "what it does"),
        ("withdraw", "to take it back"),
    ):
        session.note(f"  nereid changes {verb} {name} {number}".ljust(44) + who)


def _say_how_it_ended(session: Session, change: ChangeRequest) -> None:
    if session.as_json:
        session.emit(change.raw)
    elif change.stale:
        session.failure(change.stale)
    else:
        why = f": {change.decided_reason}" if change.decided_reason else ""
        name = (f"change {change.number} of {change.endpoint}", "bold")
        session.failure(Text.assemble(name, f" is {change.state} ({change.decided_by}){why}"))


def _settled(session: Session, endpoint: Endpoint, seconds: float) -> None:
    healthy = endpoint.status == "Healthy"
    if session.as_json:
        session.emit(endpoint.raw)
    elif healthy:
        facts = f"  {seconds:.1f} s · generation {endpoint.generation}"
        session.success(Text.assemble((endpoint.name, "bold"), " is Healthy", (facts, "dim")))
        session.out.print(render.arms(endpoint.arms))
    else:
        reason = endpoint.reason or "the server gives no reason"
        session.failure(Text.assemble((endpoint.name, "bold"), f" is {endpoint.status}: {reason}"))
    if not healthy:
        raise typer.Exit(REFUSED)

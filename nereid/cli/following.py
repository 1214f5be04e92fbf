"""Watching a change of traffic until it serves, as several commands do."""

from __future__ import annotations

import time

import typer
from rich.text import Text

from nereid.cli import render
from nereid.cli.session import REFUSED, Session
from nereid.client import Client
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

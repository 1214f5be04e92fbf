"""Waiting in the command until a rollout is promoted or taken back."""

from __future__ import annotations

import typer
from rich.text import Text

from nereid.cli.session import REFUSED, WAITING, Session
from nereid.client import Client
from nereid.errors import WaitTimeoutError
from nereid.rollouts import Rollout


def follow_rollout(session: Session, client: Client, begun: Rollout, timeout: float) -> None:
    """Waits, and says every state once; exits 1 where it was taken back.

    Exits 3 where the time is up while it waits for a person.
    """
    title = f"rollout {begun.number} of {begun.endpoint}"
    said: list[str] = []
    seen = begun
    with session.err.status(Text(f"{title}: {begun.state}")) as status:

        def show(found: Rollout) -> None:
            nonlocal seen
            seen = found
            line = ": ".join(part for part in (found.state, found.reason) if part)
            status.update(Text(f"{title}: {line}"))
            if not said or said[-1] != found.state:
                said.append(found.state)
                if not session.err.is_terminal:
                    session.note(f"{title}: {line}")

        try:
            ended = client.wait_rollout(begun.id, timeout=timeout, on_progress=show)
        except WaitTimeoutError as error:
            session.report(error)
            raise typer.Exit(WAITING if seen.waits_for_someone else REFUSED) from error
    if session.as_json:
        session.emit(ended.raw)
    elif ended.promoted:
        session.success(Text.assemble((title, "bold"), f" is promoted: {ended.reason}"))
    else:
        session.failure(Text.assemble((title, "bold"), f" is {ended.state}: {ended.reason}"))
    if not ended.promoted:
        raise typer.Exit(REFUSED)

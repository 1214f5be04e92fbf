"""What the commands of records with revisions share: profiles, pipelines, analysis templates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import httpx
from rich.text import Text

from nereid.cli.session import Session
from nereid.errors import ProblemError


class Revised(Protocol):
    """A record at one of its revisions; None: it comes with Nereid."""

    @property
    def name(self) -> str: ...

    @property
    def revision(self) -> int | None: ...


Found = TypeVar("Found")


def present(ask: Callable[[], Found]) -> Found | None:
    """What is there to be changed; None: it will be new.

    Raises:
        NereidError: it cannot be told.
    """
    try:
        return ask()
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        return None


def revision_of(record: Revised) -> str:
    return "built in" if record.revision is None else f"revision {record.revision}"


def say_put(session: Session, before: Revised | None, done: Revised) -> None:
    """At which revision a record is; the same document again made none."""
    same = before is not None and before.revision == done.revision
    already = " already" if same else ""
    session.success(Text.assemble((done.name, "bold"), f" is at {revision_of(done)}{already}"))


def say_deleted(session: Session, name: str) -> None:
    if session.as_json:
        session.emit({"name": name, "deleted": True})
        return
    session.success(f"{name} is deleted")

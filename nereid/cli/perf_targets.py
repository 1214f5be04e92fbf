"""How people name what a perf run measures, and the levels of its load."""

from __future__ import annotations

import re
from typing import Any

import httpx
import typer

from nereid.client import Client
from nereid.errors import ProblemError

_VERSION = re.compile(r"(?P<name>[a-z0-9_-]+)(?:\.v|:)(?P<number>[0-9]{1,9})")
_SPAN = re.compile(r"(?P<low>[0-9.]+)-(?P<high>[0-9.]+)(?::(?P<step>[0-9.]+))?")


def target_of(client: Client, text: str) -> dict[str, Any]:
    """`digits.v3` and `digits:3` are a version, or a pipeline's revision; `digits` an endpoint."""
    match = _VERSION.fullmatch(text)
    if match is None:
        return {"endpoint": text}
    name, number = match["name"], int(match["number"])
    # Models and pipelines share one namespace: a name is one of them.
    try:
        client.model(name)
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        return {"pipeline": name, "revision": number}
    return {"model": name, "version": number}


def load_of(concurrency: str | None, request_rate: str | None, search: bool) -> dict[str, Any]:
    """The levels as the API has them; nothing where nothing is said.

    Raises:
        typer.BadParameter: they cannot be read.
    """
    said = {"concurrency": concurrency, "request_rate": request_rate}
    found = {kind: _levels(text, search) for kind, text in said.items() if text is not None}
    if search and not found:
        raise typer.BadParameter("--search looks within --concurrency or --request-rate: say 1-64")
    return found


def _levels(text: str, search: bool) -> Any:
    if match := _SPAN.fullmatch(text.strip()):
        span = {"from": _number(match["low"]), "to": _number(match["high"])}
        span |= {"step": _number(match["step"])} if match["step"] else {}
        return span | ({"search": True} if search else {})
    if search:
        raise typer.BadParameter(f"{text!r}: --search looks within a span, such as 1-64")
    return [_number(part) for part in text.split(",")]


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        detail = f"{text!r}: levels are 1,2,4,8 or a span with its step, 1-16:4"
        raise typer.BadParameter(detail) from None
    return int(value) if value == int(value) else value

"""Servers, and who did what."""

from __future__ import annotations

from nereid.calls.asking import listed, part, read
from nereid.resources import Server
from nereid.steps import Steps


def servers() -> Steps[list[Server]]:
    """Every Triton that has registered."""
    return [Server.from_json(raw) for raw in (yield from listed("/servers/"))]


def server(name: str) -> Steps[Server]:
    """One Triton with what it holds."""
    return Server.from_json((yield from read("GET", f"/servers/{part(name)}/")))

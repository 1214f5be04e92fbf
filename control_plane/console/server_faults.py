"""What is said of a server that is not as it should be: how long, and what happens by itself."""

from __future__ import annotations

from datetime import datetime

from control_plane.console import words
from control_plane.fleet.models import Server
from control_plane.fleet.selectors import is_alive


def lasting_fault(server: Server, now: datetime) -> str:
    """How long its node has said that it is not ready; empty: it is, or its node is silent."""
    since = server.not_ready_since
    if server.ready or since is None or not is_alive(server, now):
        return ""
    return words.lasting(now - since)


def answers(server: Server) -> bool:
    """Whether its Triton did at its node's last word: the version is known as long as it does."""
    return bool(server.triton_version)


def goes_on(server: Server, status: str) -> str:
    """What becomes of a server that is not as it should be, where nobody does anything."""
    if status == "Unknown":
        return (
            "What stands here is what it said last. Its Triton may well go on serving: start its "
            "node worker again, or delete the server below if it is gone for good."
        )
    if status == "Ready":
        return ""
    first = (
        "Its node loads what is missing by itself"
        if answers(server)
        else "Whoever runs its Triton starts it again (make serve and Kubernetes do), and its node "
        "loads what it held"
    )
    return (
        f"{first}; its gate opens when all is there. Until then who follows the gates, as the edge "
        "does, sends to the others."
    )

"""Reading the fleet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from django.db.models import QuerySet

from control_plane.adapters.machines import hardware_names, load_hardware
from control_plane.domain.planning.backends import Backend, Equipped
from control_plane.domain.serving.hardware import HardwareProfile
from control_plane.domain.violations import NotFoundError
from control_plane.fleet.models import Server

HEARTBEAT_EXPIRY = timedelta(seconds=15)
"""A server whose node said nothing for this long counts as not reachable."""


def get_server(name: str) -> Server:
    """The server of that name.

    Raises:
        NotFoundError: there is none.
    """
    try:
        return Server.objects.get(name=name)
    except Server.DoesNotExist:
        raise NotFoundError(f"there is no server named {name!r}") from None


def is_alive(server: Server, now: datetime) -> bool:
    """True when its node was heard of lately; that far ahead is before a clock was set back."""
    return server.last_seen_at is not None and abs(now - server.last_seen_at) < HEARTBEAT_EXPIRY


def server_status(server: Server, now: datetime) -> tuple[str, str]:
    """(`Ready`, `NotReady` or `Unknown`, the reason in words)."""
    if not is_alive(server, now):
        seen = f"{server.last_seen_at:%Y-%m-%d %H:%M:%S} UTC" if server.last_seen_at else "never"
        return "Unknown", f"its node was last heard of: {seen}"
    if not server.ready:
        return "NotReady", server.not_ready_reason or "bringing its models back"
    return "Ready", "serves everything it should"


class Scheduling(StrEnum):
    """Whether endpoints are placed on a server, in the words people see."""

    OPEN = "Open"
    CORDONED = "Cordoned"
    DRAINING = "Draining"
    DRAINED = "Drained"


def scheduling_of(server: Server, left: Sequence[object]) -> Scheduling:
    """Where a server stands; `left` is what it holds still."""
    if server.draining:
        return Scheduling.DRAINING if left else Scheduling.DRAINED
    return Scheduling.CORDONED if server.cordoned_at else Scheduling.OPEN


def briefly() -> QuerySet[Server]:
    """Every server, without what is long: what its Triton holds, and what it can run."""
    return Server.objects.defer("held", "backends")


def labels_of(server: Server) -> dict[str, str]:
    """What placements choose by: what people say of it before what its node says.

    Names of `placement.labels.BUILT_IN` are the server's own.
    """
    return {
        **server.node_labels,
        **server.set_labels,
        "server": server.name,
        "accelerator": server.accelerator,
        "hardware": server.hardware,
        "lab": "true" if server.lab else "false",
    }


def backends_of(server: Server) -> tuple[Backend, ...] | None:
    """What the server can run models with; None where its node does not know."""
    if server.backends is None:
        return None
    return tuple(Backend.from_document(one) for one in server.backends)


def equipped_servers() -> list[Equipped]:
    """The servers whose backends are known; what is away holds no plan up."""
    found = []
    for server in Server.objects.filter(lost_at=None):
        backends = backends_of(server)
        if backends is not None:
            known = Equipped(server.name, backends, server.accelerator, server.triton_version)
            found.append(known)
    return found


def hardware_in_use() -> tuple[HardwareProfile, ...]:
    """The hardware profiles of the fleet's servers, each once, by name.

    One whose file is gone counts as none: its servers get what their accelerator does.
    """
    names = Server.objects.exclude(hardware="").values_list("hardware", flat=True).distinct()
    known = hardware_names()
    return tuple(load_hardware(name) for name in sorted(set(names)) if name in known)

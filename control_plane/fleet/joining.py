"""A server makes itself known: its name, its addresses, and what it was started with."""

from __future__ import annotations

from django.conf import settings

from control_plane.adapters.machines import load_hardware, load_server
from control_plane.fleet.models import Server
from control_plane.fleet.services import register_server


def register_own_server(*, actor: str) -> Server:
    """Registers the server beside this process as its environment describes it; again is nothing.

    Raises:
        InvalidInputError: its name breaks the rule for names.
    """
    hardware, server_config = settings.NEREID_HARDWARE, settings.NEREID_SERVER_CONFIG
    return register_server(
        name=settings.NEREID_NODE_NAME,
        http=settings.NEREID_TRITON_URL,
        grpc=settings.NEREID_TRITON_GRPC,
        metrics=settings.NEREID_TRITON_METRICS,
        gate=settings.NEREID_NODE_GATE,
        accelerator=settings.NEREID_ACCELERATOR,
        actor=actor,
        hardware=load_hardware(hardware).name if hardware else "",
        flags=load_server(server_config) if server_config else None,
        lab=settings.NEREID_LAB,
        labels=settings.NEREID_SERVER_LABELS,
    )

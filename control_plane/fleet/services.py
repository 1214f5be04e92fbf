"""Changing the fleet's records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from control_plane.audit.services import record
from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.violations import InvalidInputError, Violation
from control_plane.fleet.models import Server
from control_plane.ports.triton import HeldModel


def register_server(
    *, name: str, http: str, grpc: str, metrics: str, accelerator: str, actor: str
) -> Server:
    """Adds a server, or gives a known one its present addresses.

    Raises:
        InvalidInputError: the name breaks the rule for names.
    """
    if not is_public_name(name):
        raise InvalidInputError(
            [Violation("/name", "invalid_name", f"{name!r}: a name has {PUBLIC_NAME_RULE}")]
        )
    addresses = {"http": http, "grpc": grpc, "metrics": metrics, "accelerator": accelerator}
    with transaction.atomic():
        server, created = Server.objects.select_for_update().get_or_create(
            name=name, defaults=addresses
        )
        before = {key: getattr(server, key) for key in addresses}
        if not created and before == addresses:
            return server
        for key, value in addresses.items():
            setattr(server, key, value)
        server.save()
        record(
            actor=actor,
            action="server.register",
            object_type="server",
            object_id=server.id,
            object_name=name,
            before=None if created else before,
            after=addresses,
        )
    return server


def heartbeat(
    *,
    name: str,
    now: datetime,
    ready: bool,
    reason: str,
    triton_version: str,
    held: Sequence[HeldModel],
) -> bool:
    """Notes what a node says of its Triton; False when no such server is registered."""
    return bool(
        Server.objects.filter(name=name).update(
            last_seen_at=now,
            ready=ready,
            not_ready_reason=reason,
            triton_version=triton_version,
            held=[{"name": h.name, "version": h.version, "state": h.state} for h in held],
        )
    )

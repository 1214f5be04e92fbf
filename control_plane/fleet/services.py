"""Changing the fleet's records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from control_plane.audit.services import record
from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    Violation,
)
from control_plane.fleet.models import Server
from control_plane.fleet.selectors import HEARTBEAT_EXPIRY, is_alive
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


def delete_server(*, name: str, actor: str, now: datetime) -> None:
    """Forgets a server that is gone, with what was noted of it.

    An endpoint that waits for this server to let go is waiting no longer.

    Raises:
        NotFoundError: there is no such server.
        ConflictError: its node was heard of lately, and would go on serving unseen.
    """
    with transaction.atomic():
        server = Server.objects.select_for_update().filter(name=name).first()
        if server is None:
            raise NotFoundError(f"there is no server named {name!r}")
        if is_alive(server, now):
            raise ConflictError(
                f"the node of {name!r} was heard of at {server.last_seen_at:%H:%M:%S} UTC: stop "
                f"it, and remove the server {HEARTBEAT_EXPIRY.seconds} s later"
            )
        record(
            actor=actor,
            action="server.delete",
            object_type="server",
            object_id=server.id,
            object_name=name,
            before={
                "http": server.http,
                "grpc": server.grpc,
                "metrics": server.metrics,
                "accelerator": server.accelerator,
            },
        )
        server.delete()


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
            held=[
                {"name": h.name, "version": h.version, "state": h.state, "reason": h.reason}
                for h in held
            ],
        )
    )

"""Changing the fleet's records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce

from control_plane.audit.services import record
from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.planning.backends import Backend
from control_plane.domain.serving.server_flags import ServerFlags
from control_plane.domain.stored_json import check_text
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    Violation,
)
from control_plane.fleet.models import FleetChange, Server
from control_plane.fleet.selectors import HEARTBEAT_EXPIRY, is_alive, labels_of, server_status
from control_plane.ports.memory import NOT_MEASURED, ServerMemory
from control_plane.ports.serving import ServerDuties
from control_plane.ports.triton import HeldModel
from control_plane.webhooks.outbox import tell


def register_server(
    *,
    name: str,
    http: str,
    grpc: str,
    metrics: str,
    accelerator: str,
    actor: str,
    hardware: str = "",
    flags: ServerFlags | None = None,
    lab: bool = False,
    labels: Mapping[str, str] | None = None,
    gate: str = "",
) -> Server:
    """Adds a server, or gives a known one its present addresses.

    Args:
        gate: where its node says whether it may be sent requests; empty: nobody knows.
        labels: what its node says of it; None: as its heartbeats said.
        lab: of a new one, whether perf runs may put it under load; people change it later.
        hardware: the name of its hardware profile.
        flags: what it was started with; None: not known.

    Raises:
        InvalidInputError: the name breaks the rule for names.
    """
    if not is_public_name(name):
        detail = f"{name!r}: a name has {PUBLIC_NAME_RULE}"
        raise InvalidInputError([Violation("/name", "invalid_name", detail)])
    addresses: dict[str, Any] = {
        "http": http,
        "grpc": grpc,
        "metrics": metrics,
        "gate": gate,
        "accelerator": accelerator,
        "hardware": hardware,
        **_started_with(flags),
        **_said_labels(labels),
    }
    with transaction.atomic():
        server, created = Server.objects.select_for_update(no_key=True).get_or_create(
            name=name, defaults={**addresses, "lab": lab}
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
            after={**addresses, "lab": server.lab} if created else addresses,
        )
    return server


def _started_with(flags: ServerFlags | None) -> dict[str, bool | None]:
    """What profiles may ask for that Triton has to be started with; None: not known."""
    return {
        "response_cache": None if flags is None else flags.response_cache_bytes > 0,
        "rate_limiter": None if flags is None else flags.rate_limit,
    }


def _said_labels(labels: Mapping[str, str] | None) -> dict[str, dict[str, str]]:
    """What a node said of labels; nothing where it said nothing."""
    return {} if labels is None else {"node_labels": dict(labels)}


def update_server(*, name: str, lab: bool, actor: str) -> Server:
    """Says whether perf runs may put a server under load; the same again writes nothing.

    Raises:
        NotFoundError: there is no such server.
    """
    with transaction.atomic():
        server = Server.objects.select_for_update(no_key=True).filter(name=name).first()
        if server is None:
            raise NotFoundError(f"there is no server named {name!r}")
        if server.lab != lab:
            server.lab = lab
            server.save(update_fields=["lab"])
            record(
                actor=actor,
                action="server.update",
                object_type="server",
                object_id=server.id,
                object_name=name,
                before={"lab": not lab},
                after={"lab": lab},
            )
    return server


def delete_server(
    *,
    name: str,
    actor: str,
    now: datetime,
    duties: ServerDuties,
    force: bool = False,
    reason: str = "",
) -> None:
    """Forgets a server that is gone, with what was noted of it.

    An endpoint that waits for this server to let go is waiting no longer.

    Args:
        force: whatever it holds: its Triton may go on serving that, and nobody will know. A node
            that is still there registers again.

    Raises:
        NotFoundError: there is no such server.
        ConflictError: its node was heard of lately, and would go on serving unseen; or it is the
            only one that holds an endpoint which serves.
        InvalidInputError: it is forced without a reason.
    """
    check_text(reason, "/reason")
    if force and not reason.strip():
        detail = "say why it is to be forgotten although it may serve: the audit record keeps it"
        raise InvalidInputError([Violation("/reason", "required", detail)])
    with transaction.atomic():
        # All of them: of the last two that hold an endpoint only one can go.
        rows = Server.objects.select_for_update(no_key=True).order_by("name")
        servers = {row.name: row for row in rows}
        server = servers.get(name)
        if server is None:
            raise NotFoundError(f"there is no server named {name!r}")
        kept = why_kept(server, now, duties)
        if kept and not force:
            raise ConflictError(kept)
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
                "endpoints": list(duties.held(server.id)),
                "labels": labels_of(server),
            },
            after={"forced": True, "although": kept} if kept else None,
            reason=reason,
        )
        # Who places holds this, and then wants the servers' keys: of two orders comes a deadlock.
        list(FleetChange.objects.select_for_update())
        server.delete()


def why_kept(server: Server, now: datetime, duties: ServerDuties) -> str:
    """Why a server cannot be forgotten, in words; empty where it can."""
    if is_alive(server, now):
        first = "" if server.draining and not duties.held(server.id) else "drain it, then "
        return (
            f"the node of {server.name!r} was heard of at {server.last_seen_at:%H:%M:%S} UTC, and "
            f"would register it again: {first}stop it, and remove the server "
            f"{HEARTBEAT_EXPIRY.seconds} s later"
        )
    if alone := duties.held_alone(server.id):
        return (
            f"{server.name!r} is the only server that holds {_some(alone)}, and its Triton may "
            "still answer: start another server first, or delete what shall serve no more"
        )
    return ""


def _some(names: Sequence[str], most: int = 5) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def heartbeat(
    *,
    name: str,
    now: datetime,
    ready: bool,
    reason: str,
    triton_version: str,
    held: Sequence[HeldModel],
    cores: int | None = None,
    backends: Sequence[Backend] | None = None,
    labels: Mapping[str, str] | None = None,
    memory: ServerMemory = NOT_MEASURED,
) -> bool:
    """Notes what a node says of its Triton; False when no such server is registered.

    `backends` None are not known; `labels` None stay as they are.
    """
    found = bool(
        Server.objects.filter(name=name).update(
            last_seen_at=now,
            ready=ready,
            not_ready_reason=reason,
            not_ready_since=None if ready else Coalesce(F("not_ready_since"), Value(now)),
            triton_version=triton_version,
            cores=cores,
            backends=None if backends is None else [one.to_document() for one in backends],
            devices=memory.devices_document(),
            memory_used=memory.used,
            gpu_memory_used=memory.gpu_used,
            **_known_limits(memory),
            **_said_labels(labels),
            held=[
                {"name": h.name, "version": h.version, "state": h.state, "reason": h.reason}
                for h in held
            ],
        )
    )
    with transaction.atomic():
        if Server.objects.filter(name=name, lost_at__isnull=False).update(lost_at=None):
            said = "its node is heard of again" + (f"; {reason}" if reason else "")
            tell("server.back", at=now, subject={"server": name}, reason=said)
    return found


def _known_limits(memory: ServerMemory) -> dict[str, int]:
    """A Triton that is away for a moment has no less memory: what was known last stays."""
    limits = {"memory_limit": memory.limit, "gpu_memory_limit": memory.gpu_limit}
    return {key: limit for key, limit in limits.items() if limit is not None}


def notice_lost_servers(*, now: datetime) -> int:
    """Notes which servers fell silent, each once; returns how many."""
    lately = (now - HEARTBEAT_EXPIRY, now + HEARTBEAT_EXPIRY)
    heard_of = Server.objects.filter(lost_at=None, last_seen_at__isnull=False)
    silent = heard_of.exclude(last_seen_at__gt=lately[0], last_seen_at__lt=lately[1])
    noticed = 0
    for server in silent:
        with transaction.atomic():
            # Its node may have been heard of since, or another worker have noticed.
            if silent.filter(pk=server.pk).update(lost_at=now):
                reason = server_status(server, now)[1]
                tell("server.lost", at=now, subject={"server": server.name}, reason=reason)
                noticed += 1
    return noticed

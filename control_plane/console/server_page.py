"""A server's page: what its Triton holds and does, and what its node last said."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model
from sqlalchemy.exc import SQLAlchemyError

from control_plane import wiring
from control_plane.console.rights import visible
from control_plane.console.server_faults import answers, goes_on, lasting_fault
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.placements import left_on
from control_plane.endpoints.selectors import placement_status
from control_plane.fleet.drift_records import recent_drift
from control_plane.fleet.models import Server
from control_plane.fleet.selectors import backends_of, scheduling_of, server_status
from control_plane.registry.models import ModelVersion, Pipeline

logger = logging.getLogger(__name__)

LATELY = timedelta(minutes=2)
"""A sample older than this says nothing of a model that is there now."""


@dataclass(frozen=True)
class Held:
    """A model that Triton tried to load; `record` is what stands behind its name."""

    name: str
    version: str
    state: str
    reason: str
    record: Model | None
    kind: str
    ok: int | None
    failed: int | None


def server_context(user: Any, server: Server, now: datetime) -> dict[str, Any]:
    """What the live part of the page shows."""
    status, reason = server_status(server, now)
    counts, host, scraped_at = _measured(server, now)
    held = _held(user, server.held, counts)
    placements = visible(user, server.placements.select_related("endpoint"))
    allowed = {row.pk for row in placements}
    left = [(row, why) for row, why in left_on(server) if row.pk in allowed]
    parts = [(row, *placement_status(row, row.endpoint.generation, now)) for row in placements]
    return {
        "server": server,
        "status": status,
        "reason": reason,
        "lasting": lasting_fault(server, now),
        "goes_on": goes_on(server, status),
        "silent_triton": status == "NotReady" and not answers(server),
        "held": held,
        "backends": backends_of(server),
        "held_ready": sum(1 for model in held if model.state == "READY"),
        "host": host,
        "scraped_at": scraped_at,
        "parts": parts,
        "drift": recent_drift(now).filter(server=server)[:20],
        "scheduling": scheduling_of(server, left),
        "left": left,
        "troubles": [part for part in parts if part[0].failure],
    }


def _measured(
    server: Server, now: datetime
) -> tuple[Mapping[str, tuple[int, int]], Mapping[str, float], datetime | None]:
    """Model -> (ok, failed) since it was loaded, the machine's figures, and when that was."""
    try:
        store = wiring.telemetry()
        scraped_at, host = store.host(server.pk)
        rows = store.latest(server.pk, now - LATELY)
    except SQLAlchemyError:
        logger.warning("the telemetry store does not answer", exc_info=True)
        return {}, {}, None
    return (
        {row["model"]: (row["requests_ok"], row["requests_failed"]) for row in rows},
        host,
        scraped_at,
    )


def _held(
    user: Any, held: Iterable[Mapping[str, str]], counts: Mapping[str, tuple[int, int]]
) -> list[Held]:
    """In the order of their names; what is not ready first."""
    entries = list(held)
    names = {str(entry.get("name")) for entry in entries}
    endpoints = {row.name: row for row in visible(user, Endpoint.objects.filter(name__in=names))}
    stems = {name: name.rpartition(".")[0] for name in names if "." in name}
    models = {stem.rpartition(".v")[0] for stem in stems.values()}
    # Models and pipelines share one namespace: a name is one of them.
    may = user.has_perm("registry.view_pipeline")  # of all, or of none: no grant names one
    lines = Pipeline.objects.filter(name__in=models) if may else Pipeline.objects.none()
    pipelines = {row.name: row for row in lines}
    rows = visible(user, ModelVersion.objects.select_related("model"))
    versions = {
        f"{row.model.name}.v{row.number}": row for row in rows.filter(model__name__in=models)
    }
    known: dict[str, Model] = dict(endpoints)
    for name, stem in stems.items():
        if record := versions.get(stem) or pipelines.get(stem.rpartition(".v")[0]):
            known[name] = record
    found = []
    for entry in entries:
        name = str(entry.get("name"))
        ok, failed = counts.get(name, (None, None))
        found.append(
            Held(
                name=name,
                version=str(entry.get("version") or ""),
                state=str(entry.get("state") or ""),
                reason=str(entry.get("reason") or ""),
                record=known.get(name),
                kind="model" if name in stems else "router",
                ok=ok,
                failed=failed,
            )
        )
    return sorted(found, key=lambda model: (model.state == "READY", model.name, model.version))

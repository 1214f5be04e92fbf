"""Writing what models grew by, by the minute: only those that had a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from control_plane.telemetry.model_counters import ModelCounters, grown
from control_plane.telemetry.samples import Scrape
from control_plane.telemetry.tables import (
    MODEL_COUNTS,
    model_latest,
    model_minutes,
    server_minutes,
)

_Key = tuple[str, str]


def remember_models(connection: sa.Connection, scrape: Scrape) -> list[dict[str, Any]]:
    """Keeps a server's counters for the next scrape; returns what its models grew by since.

    The versions of a model are summed. A row has the columns of `model_minutes` but the time.
    """
    its = model_latest.c.server_id == scrape.server_id
    rows = connection.execute(sa.select(model_latest).where(its))
    known: dict[_Key, Mapping[str, int]] = {(row.model, row.version): row.counts for row in rows}
    _keep(connection, scrape, known)
    sums: dict[str, Counter[str]] = {}
    for now in scrape.model_counters:
        grew = sums.setdefault(now.model, Counter())
        grew.update(grown(known.get(now.key), now))
        grew["pending"] += now.pending
    names = (*MODEL_COUNTS, "pending")
    return [
        {"server_id": scrape.server_id, "model": model, **{name: grew[name] for name in names}}
        for model, grew in sums.items()
        if any(grew.values())
    ]


def add_to_minute(connection: sa.Connection, minute: datetime, rows: list[dict[str, Any]]) -> None:
    """Adds to what the minute has: counts are summed, of the queue the longest stays."""
    if not rows:
        return
    insert = postgresql.insert(model_minutes)
    new, there = insert.excluded, model_minutes.c
    values: dict[str, Any] = {name: there[name] + new[name] for name in MODEL_COUNTS}
    values["pending"] = sa.func.greatest(there.pending, new.pending)
    keys = ["model", "server_id", "sampled_at"]
    update = insert.on_conflict_do_update(index_elements=keys, set_=values)
    connection.execute(update, [{**row, "sampled_at": minute} for row in rows])


def add_covered(
    connection: sa.Connection, server_id: UUID, minute: datetime, covers: timedelta
) -> None:
    """Notes of how much of a minute it is known what grew in it."""
    ms = round(covers.total_seconds() * 1000)
    insert = postgresql.insert(server_minutes).values(
        sampled_at=minute, server_id=server_id, scrapes=1, covers_ms=ms
    )
    more = {"covers_ms": server_minutes.c.covers_ms + ms}
    connection.execute(
        insert.on_conflict_do_update(index_elements=["sampled_at", "server_id"], set_=more)
    )


def _keep(
    connection: sa.Connection, scrape: Scrape, known: Mapping[_Key, Mapping[str, int]]
) -> None:
    """Writes the counters that changed, and forgets the models that the server let go."""
    present = {now.key for now in scrape.model_counters}
    gone = [key for key in known if key not in present]
    if gone:
        its = model_latest.c.server_id == scrape.server_id
        key = sa.tuple_(model_latest.c.model, model_latest.c.version)
        connection.execute(sa.delete(model_latest).where(its, key.in_(gone)))
    changed = [
        _latest(scrape.server_id, now)
        for now in scrape.model_counters
        if known.get(now.key) != now.counts
    ]
    if changed:
        insert = postgresql.insert(model_latest)
        values = {"counts": insert.excluded.counts}
        keys = ["server_id", "model", "version"]
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=values), changed)


def _latest(server_id: UUID, now: ModelCounters) -> dict[str, Any]:
    return {
        "server_id": server_id,
        "model": now.model,
        "version": now.version,
        "counts": dict(now.counts),
    }

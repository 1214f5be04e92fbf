"""Writing what arms grew by since the scrape before, by the scrape and by the minute.

A scrape's own rows are small: only arms that had a request, and of their latencies only the
buckets that something fell into. Long charts read the minutes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from control_plane.telemetry.counters import ArmCounters, ArmStep, step
from control_plane.telemetry.model_growth import add_covered, add_to_minute, remember_models
from control_plane.telemetry.samples import Scrape
from control_plane.telemetry.tables import (
    MORE,
    arm_latest,
    arm_minutes,
    arm_steps,
    server_latest,
    server_minutes,
)

LONGEST = timedelta(seconds=60)
"""After a longer silence nobody can say when it was that the counters grew: a gap stays one."""

_SUMS = ("covers_ms", "requests", "failures", "handed_on", "errors", "duration_us", *MORE)


def write_growth(connection: sa.Connection, scrape: Scrape) -> None:
    """Adds what came since the last scrape of that server; an older scrape adds nothing.

    Call it in a transaction: the server's row in `server_latest` keeps two scrapes of one
    server after one another.
    """
    before_at = _begin(connection, scrape)
    if before_at is not None and before_at >= scrape.sampled_at:
        return
    known = _known(connection, scrape.server_id)
    _remember(connection, scrape, known)
    models = remember_models(connection, scrape)
    covers = scrape.sampled_at - before_at if before_at else None
    if covers is None or covers > LONGEST:
        return
    # A scrape that straddles two minutes counts for the one it has more of.
    minute = (scrape.sampled_at - covers / 2).replace(second=0, microsecond=0)
    add_covered(connection, scrape.server_id, minute, covers)
    add_to_minute(connection, minute, models)
    steps = [step(known.get((now.endpoint, now.arm)), now) for now in scrape.counters]
    steps = [each for each in steps if not each.empty]
    if steps:
        rows = [_row(scrape, scrape.sampled_at, each, covers) for each in steps]
        connection.execute(sa.insert(arm_steps), rows)
        _add_to_minute(connection, scrape.server_id, minute, rows)


def _begin(connection: sa.Connection, scrape: Scrape) -> datetime | None:
    """Locks the server's row, and notes this scrape; returns when the one before was."""
    mine = {"server_id": scrape.server_id, "sampled_at": scrape.sampled_at, "host": scrape.host}
    insert = postgresql.insert(server_latest).on_conflict_do_nothing()
    first = connection.execute(insert.returning(server_latest.c.server_id), mine).first()
    before: datetime | None = None
    if first is None:
        its = server_latest.c.server_id == scrape.server_id
        row = connection.execute(sa.select(server_latest).where(its).with_for_update()).one()
        before = row.sampled_at
        if row.sampled_at >= scrape.sampled_at:
            return before
        connection.execute(sa.update(server_latest).where(its), mine)
    counted = postgresql.insert(server_minutes).values(
        sampled_at=scrape.sampled_at.replace(second=0, microsecond=0),
        server_id=scrape.server_id,
        scrapes=1,
    )
    more = {"scrapes": server_minutes.c.scrapes + 1}
    connection.execute(
        counted.on_conflict_do_update(index_elements=["sampled_at", "server_id"], set_=more)
    )
    return before


def _known(connection: sa.Connection, server_id: UUID) -> dict[tuple[str, str], ArmCounters]:
    rows = connection.execute(sa.select(arm_latest).where(arm_latest.c.server_id == server_id))
    return {
        (row.endpoint, row.arm): ArmCounters(
            endpoint=row.endpoint,
            arm=row.arm,
            outcomes=row.outcomes,
            duration_us=row.duration_us,
            buckets=dict(zip(row.buckets, row.counts, strict=True)),
            first=dict(zip(row.first_buckets, row.first_counts, strict=True)),
            shadow=dict(zip(row.shadow_buckets, row.shadow_counts, strict=True)),
            confidence=dict(zip(row.confidence_buckets, row.confidence_counts, strict=True)),
            more=row.more,
            breaker=row.breaker,
            attempts_left=row.attempts_left,
            failures_left=row.failures_left,
        )
        for row in rows
    }


def _remember(
    connection: sa.Connection, scrape: Scrape, known: Mapping[tuple[str, str], ArmCounters]
) -> None:
    """Keeps the counters that changed, and forgets the arms that the server forgot."""
    present = {(now.endpoint, now.arm) for now in scrape.counters}
    gone = [arm for arm in known if arm not in present]
    if gone:
        its = arm_latest.c.server_id == scrape.server_id
        arm = sa.tuple_(arm_latest.c.endpoint, arm_latest.c.arm)
        connection.execute(sa.delete(arm_latest).where(its, arm.in_(gone)))
    changed = [
        {
            "server_id": scrape.server_id,
            "endpoint": now.endpoint,
            "arm": now.arm,
            "outcomes": dict(now.outcomes),
            "duration_us": now.duration_us,
            "buckets": list(now.buckets),
            "counts": list(now.buckets.values()),
            "first_buckets": list(now.first),
            "first_counts": list(now.first.values()),
            "shadow_buckets": list(now.shadow),
            "shadow_counts": list(now.shadow.values()),
            "confidence_buckets": list(now.confidence),
            "confidence_counts": list(now.confidence.values()),
            "more": dict(now.more),
            "breaker": now.breaker,
            "attempts_left": now.attempts_left,
            "failures_left": now.failures_left,
        }
        for now in scrape.counters
        if known.get((now.endpoint, now.arm)) != now
    ]
    if changed:
        insert = postgresql.insert(arm_latest)
        keys = ["server_id", "endpoint", "arm"]
        values = {c.name: c for c in insert.excluded if c.name not in keys}
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=values), changed)


def _add_to_minute(
    connection: sa.Connection, server_id: UUID, minute: datetime, rows: Iterable[dict[str, Any]]
) -> None:
    its = sa.and_(arm_minutes.c.server_id == server_id, arm_minutes.c.sampled_at == minute)
    there = {
        (row["endpoint"], row["arm"]): dict(row)
        for row in connection.execute(sa.select(arm_minutes).where(its)).mappings()
    }
    merged = [
        _joined({**row, "sampled_at": minute}, there.get((row["endpoint"], row["arm"])))
        for row in rows
    ]
    insert = postgresql.insert(arm_minutes)
    keys = ["endpoint", "arm", "server_id", "sampled_at"]
    values = {c.name: c for c in insert.excluded if c.name not in keys}
    connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=values), merged)


def _joined(row: dict[str, Any], other: Mapping[str, Any] | None) -> dict[str, Any]:
    if other is None:
        return row
    sums: dict[str, Any] = {name: row[name] + other[name] for name in _SUMS}
    for of in ("", "first_", "shadow_", "confidence_"):
        buckets, counts = f"{of}buckets", f"{of}counts"
        sketch = Counter(dict(zip(row[buckets], row[counts], strict=True)))
        sketch.update(dict(zip(other[buckets], other[counts], strict=True)))
        sums |= {buckets: list(sketch), counts: list(sketch.values())}
    return {**row, **sums}


def _row(scrape: Scrape, at: datetime, grown: ArmStep, covers: timedelta) -> dict[str, Any]:
    return {
        "sampled_at": at,
        "server_id": scrape.server_id,
        "endpoint": grown.endpoint,
        "arm": grown.arm,
        "covers_ms": round(covers.total_seconds() * 1000),
        "requests": grown.requests,
        "failures": grown.failures,
        "handed_on": grown.handed_on,
        "errors": grown.errors,
        "duration_us": grown.duration_us,
        "buckets": list(grown.buckets),
        "counts": list(grown.buckets.values()),
        "first_buckets": list(grown.first),
        "first_counts": list(grown.first.values()),
        "shadow_buckets": list(grown.shadow),
        "shadow_counts": list(grown.shadow.values()),
        "confidence_buckets": list(grown.confidence),
        "confidence_counts": list(grown.confidence.values()),
        **{name: grown.more.get(name, 0) for name in MORE},
    }

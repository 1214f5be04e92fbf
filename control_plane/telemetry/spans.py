"""Reading what an endpoint's arms and models did within a span, in whole minutes."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from control_plane.domain.kpis.counted import ArmCounts, ArmPiece, Counted, ModelCounts
from control_plane.domain.latency import merged
from control_plane.telemetry.tables import (
    MODEL_COUNTS,
    arm_minutes,
    model_minutes,
    server_latest,
    server_minutes,
)

MINUTE = timedelta(minutes=1)
PIECES = 360
"""Into so many at most a span is cut, each of whole minutes."""

HALF = 30.0
"""Seconds of a minute that were measured, from which its rate is taken for one."""

_COUNTS = ("requests", "failures", "handed_on", "errors", "duration_us")


_Pieces = dict[int, dict[int, float]]
"""Number of a piece -> the sketch of what fell into it."""


@dataclass
class _Sums:
    """The counters of one arm, or of all: `requests` by minute."""

    counts: Counter[str] = field(default_factory=Counter)
    requests: Counter[datetime] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Span:
    """The span, cut into pieces of `step`; `minutes` says how much of each was measured."""

    begins: datetime
    step: timedelta
    minutes: Mapping[datetime, float]

    def number(self, at: datetime) -> int:
        return (at - self.begins) // self.step

    def arm_counts(self, sums: _Sums, latencies: _Pieces, first: _Pieces) -> ArmCounts:
        requests: Counter[int] = Counter()
        for minute, count in sums.requests.items():
            requests[self.number(minute)] += count
        seconds: Counter[int] = Counter()
        for minute, covered in self.minutes.items():
            seconds[self.number(minute)] += covered  # type: ignore[assignment] # of a minute
        rates = [
            count / self.minutes[minute]
            for minute, count in sums.requests.items()
            if self.minutes.get(minute, 0.0) >= HALF
        ]
        return ArmCounts(
            **sums.counts,
            latencies=merged(latencies.values()),
            first=merged(first.values()),
            busiest_rps=max(rates, default=None),
            pieces=tuple(
                ArmPiece(seconds[i], requests[i], latencies.get(i, {})) for i in sorted(requests)
            ),
        )


def read_counted(
    connection: sa.Connection,
    endpoint: str,
    models: Collection[str],
    since: datetime,
    until: datetime,
) -> Counted:
    """All that is known of an endpoint from the minute of `since` until the last scrape in time.

    Args:
        models: physical names; the endpoint's router is read as well.
    """
    begins = since.replace(second=0, microsecond=0)
    step = max(1, math.ceil((until - begins) / MINUTE / PIECES)) * MINUTE
    minutes = dict(_measured(connection, begins, until))
    its = arm_minutes.c
    within = sa.and_(its.endpoint == endpoint, its.sampled_at >= begins, its.sampled_at < until)
    whole, arms = _counted_arms(connection, within, _Span(begins, step, minutes))
    last: datetime | None = connection.scalar(sa.select(sa.func.max(server_latest.c.sampled_at)))
    return Counted(
        since=begins,
        until=min(until, last) if last and last > begins else until,
        seconds=sum(minutes.values()),
        whole=whole,
        arms=arms,
        models=_models(connection, [*models, endpoint], begins, until),
        servers=_servers(connection, begins, until),
    )


def _measured(
    connection: sa.Connection, begins: datetime, until: datetime
) -> Iterator[tuple[datetime, float]]:
    """Minute -> how many seconds of it were measured, by whichever server it was most of."""
    at, covers = server_minutes.c.sampled_at, sa.func.max(server_minutes.c.covers_ms)
    query = sa.select(at, covers).where(at >= begins, at < until).group_by(at)
    for minute, ms in connection.execute(query):
        yield minute, ms / 1000


def _servers(connection: sa.Connection, begins: datetime, until: datetime) -> dict[str, float]:
    at, server = server_minutes.c.sampled_at, server_minutes.c.server_id
    covers = sa.func.sum(server_minutes.c.covers_ms)
    query = sa.select(server, covers).where(at >= begins, at < until).group_by(server)
    return {str(one): float(ms) / 1000 for one, ms in connection.execute(query)}


def _models(
    connection: sa.Connection, models: Collection[str], begins: datetime, until: datetime
) -> dict[str, ModelCounts]:
    its = model_minutes.c
    sums = [sa.func.sum(its[name]).label(name) for name in MODEL_COUNTS]
    query = (
        sa.select(its.model, *sums, sa.func.max(its.pending).label("pending"))
        .where(its.model.in_(models), its.sampled_at >= begins, its.sampled_at < until)
        .group_by(its.model)
    )
    names = (*MODEL_COUNTS, "pending")
    return {
        row["model"]: ModelCounts(**{name: int(row[name]) for name in names})
        for row in connection.execute(query).mappings()
    }


def _counted_arms(
    connection: sa.Connection, within: sa.ColumnElement[bool], span: _Span
) -> tuple[ArmCounts, dict[str, ArmCounts]]:
    """What callers asked and got of all arms together, and what each arm did."""
    whole = _Sums()
    arms: dict[str, _Sums] = defaultdict(_Sums)
    its = arm_minutes.c
    sums = [sa.func.sum(its[name]).label(name) for name in _COUNTS]
    query = sa.select(its.arm, its.sampled_at, *sums).where(within)
    rows = connection.execute(query.group_by(its.arm, its.sampled_at)).mappings()
    for row in rows:
        counts = {name: int(row[name]) for name in _COUNTS}
        arms[row["arm"]].counts.update(counts)
        arms[row["arm"]].requests[row["sampled_at"]] += counts["requests"]
        calls = counts["requests"] - counts["handed_on"]
        seen = {"requests": calls, "failures": counts["errors"], "errors": counts["errors"]}
        whole.counts.update(seen | {"duration_us": counts["duration_us"]})
        whole.requests[row["sampled_at"]] += calls
    latencies = _sketches(connection, within, span, "buckets", "counts")
    first = _sketches(connection, within, span, "first_buckets", "first_counts")
    found = {
        arm: span.arm_counts(its_own, latencies.get(arm, {}), first.get(arm, {}))
        for arm, its_own in arms.items()
    }
    both = (_all_arms(sketches) for sketches in (latencies, first))
    return span.arm_counts(whole, *both), found


def _sketches(
    connection: sa.Connection,
    within: sa.ColumnElement[bool],
    span: _Span,
    buckets: str,
    counts: str,
) -> dict[str, _Pieces]:
    """By arm; summed in the database, where a fortnight is 20,000 rows of an arm."""
    both: Any = sa.func.unnest(arm_minutes.c[buckets], arm_minutes.c[counts])
    unnested = both.table_valued("bucket", "n").render_derived()
    piece = sa.func.date_bin(span.step, arm_minutes.c.sampled_at, span.begins).label("piece")
    query = (
        sa.select(arm_minutes.c.arm, piece, unnested.c.bucket, sa.func.sum(unnested.c.n))
        .select_from(arm_minutes.join(unnested, sa.true()))
        .where(within)
        .group_by(arm_minutes.c.arm, "piece", unnested.c.bucket)
    )
    found: dict[str, _Pieces] = defaultdict(lambda: defaultdict(dict))
    for arm, at, bucket, count in connection.execute(query):
        found[arm][span.number(at)][bucket] = float(count)
    return found


def _all_arms(sketches: Mapping[str, _Pieces]) -> _Pieces:
    numbers = {number for pieces in sketches.values() for number in pieces}
    return {
        number: merged(pieces[number] for pieces in sketches.values() if number in pieces)
        for number in numbers
    }

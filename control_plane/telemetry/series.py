"""Reading what arms did over a span of time: in one sum, or bin by bin for a chart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from control_plane.domain.latency import quantile
from control_plane.telemetry.tables import arm_minutes, arm_steps, server_latest, server_minutes

MINUTE = timedelta(minutes=1)
COUNTS = ("requests", "failures", "handed_on", "errors")


@dataclass
class Bin:
    """What an arm did in one piece of time; parts of a count where a scrape spans two bins."""

    requests: float = 0
    failures: float = 0
    handed_on: float = 0
    errors: float = 0
    buckets: dict[int, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, counts: Mapping[str, float], buckets: Mapping[int, float], part: float) -> None:
        """Takes in this part of what was counted."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + counts[name] * part)
        for bucket, count in buckets.items():
            self.buckets[bucket] += count * part

    def quantile_us(self, q: float) -> float | None:
        """Latency in microseconds; None without a request."""
        return quantile(self.buckets, q)


@dataclass(frozen=True)
class Series:
    """An endpoint's bins: `arms[arm][i]` is what began at `begins + i * step`.

    `measured[i]` is False where no server was scraped then. `until` is the last scrape: of the
    last bin, only what lies before it is known.
    """

    begins: datetime
    step: timedelta
    bins: int
    until: datetime | None
    measured: tuple[bool, ...]
    arms: Mapping[str, Mapping[int, Bin]]

    def at(self, i: int) -> datetime:
        return self.begins + i * self.step

    def seconds(self, i: int) -> float:
        """How much of a bin is known."""
        end = min(self.at(i) + self.step, self.until) if self.until else self.at(i)
        return max(0.0, (end - self.at(i)).total_seconds())


def read_series(
    connection: sa.Connection, endpoint: str, now: datetime, step: timedelta, bins: int
) -> Series:
    """The last `bins` pieces of `step` each, the last of which holds the present moment.

    Steps of a minute and more are read from the minutes.
    """
    begins = _floor(now, step) - (bins - 1) * step
    arms: dict[str, dict[int, Bin]] = defaultdict(lambda: defaultdict(Bin))
    if step >= MINUTE:
        _add_minutes(connection, endpoint, begins, step, arms)
    else:
        for row in _rows(connection, endpoint, begins):
            for i, part in _spread(row, begins, step, bins):
                arms[row["arm"]][i].add(row, _sketch(row), part)
    last = sa.select(sa.func.max(server_latest.c.sampled_at))
    return Series(
        begins=begins,
        step=step,
        bins=bins,
        until=connection.execute(last).scalar(),
        measured=tuple(_measured(connection, begins, step, bins)),
        arms={arm: dict(its) for arm, its in sorted(arms.items())},
    )


def read_latencies(
    connection: sa.Connection, since: datetime, endpoints: Collection[str]
) -> dict[tuple[str, str], dict[int, float]]:
    """(endpoint, arm) -> the sketch of its latencies since then, over all servers."""
    unnested = _unnested(arm_steps)
    query = (
        sa.select(
            arm_steps.c.endpoint,
            arm_steps.c.arm,
            unnested.c.bucket,
            sa.func.sum(unnested.c.n),
        )
        .select_from(arm_steps.join(unnested, sa.true()))
        .where(arm_steps.c.endpoint.in_(endpoints), arm_steps.c.sampled_at > since)
        .group_by(arm_steps.c.endpoint, arm_steps.c.arm, unnested.c.bucket)
    )
    found: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for endpoint, arm, bucket, count in connection.execute(query):
        found[endpoint, arm][bucket] = float(count)
    return dict(found)


def _add_minutes(
    connection: sa.Connection,
    endpoint: str,
    begins: datetime,
    step: timedelta,
    arms: Mapping[str, Mapping[int, Bin]],
) -> None:
    """Sums in the database: a day of minutes is some thousand rows."""
    its = sa.and_(arm_minutes.c.endpoint == endpoint, arm_minutes.c.sampled_at >= begins)
    at = sa.func.date_bin(step, arm_minutes.c.sampled_at, begins).label("at")
    sums = [sa.func.sum(arm_minutes.c[name]).label(name) for name in COUNTS]
    counted = sa.select(arm_minutes.c.arm, at, *sums).where(its).group_by("arm", "at")
    for row in connection.execute(counted).mappings():
        i = (row["at"] - begins) // step
        arms[row["arm"]][i].add({name: float(row[name]) for name in COUNTS}, {}, 1)
    unnested = _unnested(arm_minutes)
    sketches = (
        sa.select(arm_minutes.c.arm, at, unnested.c.bucket, sa.func.sum(unnested.c.n))
        .select_from(arm_minutes.join(unnested, sa.true()))
        .where(its)
        .group_by(arm_minutes.c.arm, "at", unnested.c.bucket)
    )
    for arm, begun, bucket, count in connection.execute(sketches):
        arms[arm][(begun - begins) // step].buckets[bucket] += float(count)


def _unnested(table: sa.Table) -> sa.TableValuedAlias:
    """A row's sketch as rows of its own: bucket and `n`."""
    both = sa.func.unnest(table.c.buckets, table.c.counts)
    return both.table_valued("bucket", "n").render_derived()


def _rows(connection: sa.Connection, endpoint: str, begins: datetime) -> Iterable[Any]:
    its = sa.and_(arm_steps.c.endpoint == endpoint, arm_steps.c.sampled_at > begins)
    return connection.execute(sa.select(arm_steps).where(its)).mappings()


def _spread(
    row: Mapping[str, Any], begins: datetime, step: timedelta, bins: int
) -> Iterator[tuple[int, float]]:
    """The bins that a scrape's interval lies in, each with its part of it.

    Without this a bin would have two scrapes in it now and three then, and a steady rate would
    look like a saw.
    """
    covers = timedelta(milliseconds=max(1, row["covers_ms"]))
    end, start = row["sampled_at"], row["sampled_at"] - covers
    for i in range(max(0, (start - begins) // step), min(bins - 1, (end - begins) // step) + 1):
        left = max(start, begins + i * step)
        right = min(end, begins + (i + 1) * step)
        if right > left:
            yield i, (right - left) / covers


def _sketch(row: Mapping[str, Any]) -> dict[int, float]:
    return dict(zip(row["buckets"], row["counts"], strict=True))


def _measured(
    connection: sa.Connection, begins: datetime, step: timedelta, bins: int
) -> Iterator[bool]:
    first = begins.replace(second=0, microsecond=0)
    query = sa.select(server_minutes.c.sampled_at).where(server_minutes.c.sampled_at >= first)
    minutes = set(connection.execute(query.distinct()).scalars())
    for i in range(bins):
        at = (begins + i * step).replace(second=0, microsecond=0)
        end = begins + (i + 1) * step
        found = False
        while at < end and not found:
            found = at in minutes
            at += MINUTE
        yield found


def _floor(moment: datetime, step: timedelta) -> datetime:
    """Bins begin at whole multiples, so that they stay where they are while time goes on."""
    seconds = int(step.total_seconds())
    return datetime.fromtimestamp(int(moment.timestamp()) // seconds * seconds, moment.tzinfo)

"""Writing samples, making and dropping partitions, reading the latest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from control_plane.telemetry.samples import FAILED, HANDED_ON, SEEN, Scrape
from control_plane.telemetry.tables import PARTITIONED, SCHEMA, arm_samples, model_samples

RETENTION = timedelta(days=14)
AHEAD_DAYS = 2


@dataclass(frozen=True)
class ArmTraffic:
    """Attempts on one arm within a span, over all servers.

    `requests` are all of them, `failures` those that the arm itself failed, seen by a caller or
    not. Those in `handed_on` were tried again by the primary and count there once more;
    `errors` is what callers got as errors from this arm.
    """

    endpoint: str
    arm: str
    requests: int
    failures: int
    handed_on: int = 0
    errors: int = 0

    @property
    def calls(self) -> int:
        """Requests whose answer, good or bad, came from here: their sum is what callers sent."""
        return self.requests - self.handed_on


def engine_url(address: str) -> sa.URL:
    """The database URL with the driver this project ships (psycopg 3)."""
    return sa.make_url(address).set(drivername="postgresql+psycopg")


class TelemetryStore:
    """The schema `telemetry` of one database."""

    def __init__(self, address: str) -> None:
        self._engine = sa.create_engine(engine_url(address), pool_size=2, pool_pre_ping=True)

    def write(self, scrape: Scrape) -> None:
        """Adds the rows of a scrape; a scrape that is already there is no error."""
        with self._engine.begin() as connection:
            for table, found in ((model_samples, scrape.models), (arm_samples, scrape.arms)):
                if found:
                    insert = postgresql.insert(table).on_conflict_do_nothing()
                    connection.execute(insert, found)

    def keep_partitions(self, today: date) -> list[str]:
        """Makes the partitions of today and the next days, drops those past retention.

        Returns:
            The names of the partitions that were dropped.
        """
        with self._engine.begin() as connection:
            for table in PARTITIONED:
                for ahead in range(AHEAD_DAYS + 1):
                    self._make_partition(connection, table.name, today + timedelta(days=ahead))
            return self._drop_old(connection, today - RETENTION)

    def latest(self, server_id: UUID) -> Sequence[sa.RowMapping]:
        """The newest sample of every model of a server."""
        query = (
            sa.select(model_samples)
            .where(model_samples.c.server_id == server_id)
            .ext(postgresql.distinct_on(model_samples.c.model, model_samples.c.version))
            .order_by(
                model_samples.c.model, model_samples.c.version, model_samples.c.sampled_at.desc()
            )
        )
        with self._engine.connect() as connection:
            return connection.execute(query).mappings().all()

    def traffic(self, since: datetime) -> list[ArmTraffic]:
        """Requests per arm since a moment: the sum of the counters' increases.

        A counter that went down was reset with its server: what it holds then is new. So is
        all that a counter holds which was never sampled before: its arm began since.
        """
        before = arm_samples.alias()
        known = sa.exists().where(
            before.c.endpoint == arm_samples.c.endpoint,
            before.c.arm == arm_samples.c.arm,
            before.c.outcome == arm_samples.c.outcome,
            before.c.server_id == arm_samples.c.server_id,
            before.c.sampled_at < since,
        )
        step = arm_samples.c.requests - sa.func.lag(arm_samples.c.requests).over(
            partition_by=(
                arm_samples.c.server_id,
                arm_samples.c.endpoint,
                arm_samples.c.arm,
                arm_samples.c.outcome,
            ),
            order_by=arm_samples.c.sampled_at,
        )
        steps = (
            sa.select(
                arm_samples.c.endpoint,
                arm_samples.c.arm,
                arm_samples.c.outcome,
                sa.case(
                    (step < 0, arm_samples.c.requests),
                    (sa.and_(step.is_(None), ~known), arm_samples.c.requests),
                    else_=step,
                ).label("step"),
            )
            .where(arm_samples.c.sampled_at >= since)
            .subquery()
        )
        columns = [_total(steps), *(_total(steps, kind) for kind in (FAILED, HANDED_ON, SEEN))]
        query = (
            sa.select(steps.c.endpoint, steps.c.arm, *columns)
            .group_by(steps.c.endpoint, steps.c.arm)
            .order_by(steps.c.endpoint, steps.c.arm)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query)
            return [ArmTraffic(e, a, *(int(count) for count in counts)) for e, a, *counts in rows]

    def dispose(self) -> None:
        """Closes the connections."""
        self._engine.dispose()

    def _make_partition(self, connection: sa.Connection, table: str, day: date) -> None:
        name = f"{table}_{day:%Y%m%d}"
        begin = datetime.combine(day, datetime.min.time(), UTC)
        end = begin + timedelta(days=1)
        connection.execute(
            sa.text(
                f"CREATE TABLE IF NOT EXISTS {SCHEMA}.{name} PARTITION OF {SCHEMA}.{table} "
                f"FOR VALUES FROM ('{begin.isoformat()}') TO ('{end.isoformat()}')"
            )
        )

    def _drop_old(self, connection: sa.Connection, oldest: date) -> list[str]:
        names = connection.scalars(
            sa.text(
                "SELECT child.relname FROM pg_inherits "
                "JOIN pg_class child ON child.oid = inhrelid "
                "JOIN pg_namespace ON pg_namespace.oid = child.relnamespace "
                "WHERE nspname = :schema ORDER BY 1"
            ),
            {"schema": SCHEMA},
        ).all()
        dropped = []
        for name in names:
            stamp = str(name).rpartition("_")[2]
            if stamp.isdigit() and stamp < f"{oldest:%Y%m%d}":
                connection.execute(sa.text(f'DROP TABLE {SCHEMA}."{name}"'))
                dropped.append(str(name))
        return dropped


def _total(steps: sa.Subquery, outcomes: frozenset[str] | None = None) -> sa.ColumnElement[int]:
    total = sa.func.sum(steps.c.step)
    if outcomes is None:
        return sa.func.coalesce(total, 0)
    return sa.func.coalesce(total.filter(steps.c.outcome.in_(sorted(outcomes))), 0)

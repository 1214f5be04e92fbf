"""Writing samples, making and dropping partitions, reading the latest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from control_plane.domain.kpis.counted import Counted
from control_plane.telemetry import budgets, evidence, feedback, history, perf
from control_plane.telemetry.address import database_url
from control_plane.telemetry.feedback import FeedbackGrowth, FeedbackSummary, Report, Written
from control_plane.telemetry.growth import write_growth
from control_plane.telemetry.outcomes import FAILED, HANDED_ON, SEEN
from control_plane.telemetry.perf import PerfLevel
from control_plane.telemetry.samples import Scrape
from control_plane.telemetry.series import Series, read_latencies, read_series
from control_plane.telemetry.spans import read_counted
from control_plane.telemetry.tables import (
    PARTITIONED,
    SCHEMA,
    arm_latest,
    arm_samples,
    arm_steps,
    model_samples,
    server_latest,
)
from control_plane.telemetry.waiting import WaitingArm, read_waiting_arms

RETENTION = timedelta(days=14)
RETENTION_OF = {arm_steps.name: timedelta(days=1)}
"""Shorter where something coarser goes on: only the shortest charts read the single scrapes."""

AHEAD_DAYS = 2
BREAKERS = ("closed", "half-open", "open")
_SUMMED = frozenset(
    ("requests_ok", "requests_failed", "inferences", "executions", "request_us", "compute_us")
)
"""Counters of a model that add up over servers."""


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


@dataclass(frozen=True)
class ArmGuard:
    """An arm that its router keeps requests from, on one server, at the last scrape.

    `breaker` is `closed`, `half-open` or `open`.
    """

    server_id: UUID
    endpoint: str
    arm: str
    breaker: str
    allowance_spent: bool


def engine_url(address: str) -> sa.URL:
    """The database URL with the driver this project ships (psycopg 3)."""
    return database_url(address).set(drivername="postgresql+psycopg")


class TelemetryStore:
    """The schema `telemetry` of one database."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._engine = sa.create_engine(engine_url(address), pool_size=2, pool_pre_ping=True)

    def write(self, scrape: Scrape) -> None:
        """Adds the rows of a scrape; a scrape that is already there is no error."""
        with self._engine.begin() as connection:
            for table, found in ((model_samples, scrape.models), (arm_samples, scrape.arms)):
                if found:
                    insert = postgresql.insert(table).on_conflict_do_nothing()
                    connection.execute(insert, found)
            write_growth(connection, scrape)

    def keep_partitions(self, today: date) -> list[str]:
        """Makes the partitions of today and the next days, drops those past retention.

        Returns:
            The names of the partitions that were dropped.
        """
        with self._engine.begin() as connection:
            for table in PARTITIONED:
                for ahead in range(AHEAD_DAYS + 1):
                    self._make_partition(connection, table.name, today + timedelta(days=ahead))
            return self._drop_old(connection, today)

    def latest(self, server_id: UUID, since: datetime) -> Sequence[sa.RowMapping]:
        """The newest sample of every model of a server, of those since then."""
        query = (
            sa.select(model_samples)
            .where(model_samples.c.server_id == server_id, model_samples.c.sampled_at >= since)
            .ext(postgresql.distinct_on(model_samples.c.model, model_samples.c.version))
            .order_by(
                model_samples.c.model, model_samples.c.version, model_samples.c.sampled_at.desc()
            )
        )
        with self._engine.connect() as connection:
            return connection.execute(query).mappings().all()

    def totals(self, models: Collection[str], since: datetime) -> dict[str, dict[str, int]]:
        """Of each model that was sampled since then: its counters, all servers together."""
        names = [column.name for column in model_samples.c if column.name in _SUMMED]
        newest = (
            sa.select(model_samples)
            .where(model_samples.c.model.in_(models), model_samples.c.sampled_at >= since)
            .ext(postgresql.distinct_on(model_samples.c.model, model_samples.c.server_id))
            .order_by(
                model_samples.c.model, model_samples.c.server_id, model_samples.c.sampled_at.desc()
            )
        ).subquery()
        query = sa.select(
            newest.c.model, *(sa.func.sum(newest.c[name]).label(name) for name in names)
        ).group_by(newest.c.model)
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return {row["model"]: {name: int(row[name]) for name in names} for row in rows}

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

    def series(self, endpoint: str, now: datetime, step: timedelta, bins: int) -> Series:
        """An endpoint's arms over time, for a chart (`control_plane.telemetry.series`)."""
        with self._engine.connect() as connection:
            return read_series(connection, endpoint, now, step, bins)

    def latencies(
        self, since: datetime, endpoints: Collection[str]
    ) -> dict[tuple[str, str], dict[int, float]]:
        """(endpoint, arm) -> a sketch of its latencies (`control_plane.domain.latency`)."""
        with self._engine.connect() as connection:
            return read_latencies(connection, since, endpoints)

    def growth(
        self,
        endpoint: str,
        arms: Collection[str],
        began: datetime,
        cursors: evidence.Cursors,
    ) -> evidence.Growth:
        """What these arms did since the cursors (`control_plane.telemetry.evidence`)."""
        one_state = self._engine.execution_options(isolation_level="REPEATABLE READ")
        with one_state.connect() as connection:
            return evidence.read_growth(connection, endpoint, arms, began, cursors)

    def history(
        self,
        endpoint: str,
        arms: Collection[str],
        since: datetime,
        until: datetime,
        step: timedelta,
    ) -> list[history.Bin]:
        """What these arms did within a span of the past (`control_plane.telemetry.history`)."""
        with self._engine.connect() as connection:
            return history.read_history(connection, endpoint, arms, since, until, step)

    def counted(
        self, endpoint: str, models: Collection[str], since: datetime, until: datetime
    ) -> Counted:
        """What an endpoint did within a span, arm by arm (`control_plane.telemetry.spans`)."""
        with self._engine.connect() as connection:
            return read_counted(connection, endpoint, models, since, until)

    def waiting_arms(self, since: datetime) -> list[WaitingArm]:
        """The arms whose requests waited longer than they were worked on since then."""
        with self._engine.connect() as connection:
            return read_waiting_arms(connection, since)

    def windows(
        self, endpoints: Collection[str], windows: Collection[timedelta], now: datetime
    ) -> dict[str, budgets.Windows]:
        """What callers of these endpoints met of late (`control_plane.telemetry.budgets`)."""
        with self._engine.connect() as connection:
            return budgets.read_windows(connection, endpoints, windows, now)

    def failures_left(
        self, endpoint: str, arm: str, after: datetime
    ) -> dict[str, evidence.FailuresLeft]:
        """By server, what is left of an arm's allowance of failures, if it was scraped since."""
        with self._engine.connect() as connection:
            return evidence.read_failures_left(connection, endpoint, arm, after)

    def guarded(self) -> list[ArmGuard]:
        """The arms whose breaker is not closed or that have used up an allowance."""
        query = sa.select(arm_latest).where(
            sa.or_(
                arm_latest.c.breaker > 0,
                arm_latest.c.attempts_left <= 0,
                arm_latest.c.failures_left <= 0,
            )
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(arm_latest.c.endpoint, arm_latest.c.arm))
            return [
                ArmGuard(
                    server_id=row.server_id,
                    endpoint=row.endpoint,
                    arm=row.arm,
                    breaker=BREAKERS[row.breaker or 0],
                    allowance_spent=0 in (row.attempts_left, row.failures_left),
                )
                for row in rows
            ]

    def write_feedback(self, endpoint: str, reports: Sequence[Report], now: datetime) -> Written:
        """Adds what callers say of an endpoint's answers; of one request and outcome, once."""
        with self._engine.begin() as connection:
            return feedback.write_reports(connection, endpoint, reports, now)

    def feedback_since(
        self, endpoint: str, arms: Collection[str], after: datetime
    ) -> FeedbackGrowth:
        """What was counted for these arms after a moment; go on from its `until`."""
        with self._engine.connect() as connection:
            return feedback.read_since(connection, endpoint, arms, after)

    def feedback_summary(self, endpoint: str, since: datetime, now: datetime) -> FeedbackSummary:
        """What was reported since then, by arm and outcome, and what no arm is known of."""
        with self._engine.connect() as connection:
            return feedback.read_summary(connection, endpoint, since, now)

    def feedback_waiting(self, since: datetime, limit: int) -> list[tuple[str, str]]:
        """(endpoint, request id) of reports received since then that wait for their arm."""
        with self._engine.connect() as connection:
            return feedback.read_waiting(connection, since, limit)

    def feedback_answered(self, endpoint: str, answered: Mapping[str, str], now: datetime) -> int:
        """Counts waiting reports for the arm that answered (request id -> arm): how many."""
        with self._engine.begin() as connection:
            return feedback.put_to_arms(connection, endpoint, answered, now)

    def write_perf_level(self, run: UUID, level: PerfLevel, files: Mapping[str, bytes]) -> None:
        """Adds a level that a perf run measured, with what the load generator wrote (gzipped)."""
        with self._engine.begin() as connection:
            perf.write_level(connection, run, level, files)

    def perf_levels(self, runs: Iterable[UUID]) -> dict[UUID, list[PerfLevel]]:
        """Perf run -> its levels in the order in which they were measured."""
        with self._engine.connect() as connection:
            return perf.read_levels(connection, runs)

    def perf_file(self, run: UUID, position: int, name: str) -> bytes | None:
        """A file of a level, gzipped; None where there is none, or it is kept no more."""
        with self._engine.connect() as connection:
            return perf.read_file(connection, run, position, name)

    def perf_files(self, run: UUID) -> Sequence[tuple[int, str]]:
        """(position, name) of the files of a perf run that are kept."""
        with self._engine.connect() as connection:
            return perf.file_names(connection, run)

    def forget_perf_files(self, now: datetime) -> int:
        """Removes the files of perf runs that were kept long enough; returns how many."""
        with self._engine.begin() as connection:
            return perf.forget_files(connection, now)

    def scraped(self) -> Mapping[UUID, datetime]:
        """When each server was last scraped; without entry: never."""
        query = sa.select(server_latest.c.server_id, server_latest.c.sampled_at)
        with self._engine.connect() as connection:
            return {row.server_id: row.sampled_at for row in connection.execute(query)}

    def host(self, server_id: UUID) -> tuple[datetime | None, Mapping[str, float]]:
        """When a server was last scraped, and what it said of its memory and processors."""
        query = sa.select(server_latest).where(server_latest.c.server_id == server_id)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return (row.sampled_at, row.host) if row else (None, {})

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

    def _drop_old(self, connection: sa.Connection, today: date) -> list[str]:
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
            table, _, stamp = str(name).rpartition("_")
            oldest = today - RETENTION_OF.get(table, RETENTION)
            if stamp.isdigit() and stamp < f"{oldest:%Y%m%d}":
                connection.execute(sa.text(f'DROP TABLE {SCHEMA}."{name}"'))
                dropped.append(str(name))
        return dropped


def _total(steps: sa.Subquery, outcomes: frozenset[str] | None = None) -> sa.ColumnElement[int]:
    total = sa.func.sum(steps.c.step)
    if outcomes is None:
        return sa.func.coalesce(total, 0)
    return sa.func.coalesce(total.filter(steps.c.outcome.in_(sorted(outcomes))), 0)

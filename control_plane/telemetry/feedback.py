"""What callers say of the answers they got: kept, read as sums, and put to the arm that answered.

A report names the arm, or the request by its id. Of a request the arm may not be known yet: its
report waits until a server says which arm answered it, for `WAIT` at most. What nobody knew by
then stays unresolved, and is counted as such.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from control_plane.telemetry.tables import feedback

WAIT = timedelta(minutes=10)
"""How long a report waits for its arm: servers know it in a second, or after their restart."""

_A_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Report:
    """`count` of `of` judged answers had the outcome.

    `arm` is a physical name. With a `request_id` the report is of that one request, and its arm
    may be None.
    """

    outcome: str
    of: int
    count: int
    arm: str | None = None
    request_id: str | None = None


@dataclass(frozen=True)
class Written:
    """What became of reports: counted for their arm, waiting for it, or known before."""

    counted: int
    waiting: int
    repeated: int


@dataclass(frozen=True)
class FeedbackCount:
    """`count` of `of` judged answers of an arm had the outcome."""

    arm: str
    outcome: str
    of: int
    count: int


@dataclass(frozen=True)
class FeedbackGrowth:
    """What was counted after a moment; ask for what came after `until` next time."""

    counts: tuple[FeedbackCount, ...]
    until: datetime


@dataclass(frozen=True)
class FeedbackSummary:
    """What was reported of an endpoint's answers within a span.

    Of `waiting` and `unresolved` reports no server has said which arm answered; the latter are
    asked for no more.
    """

    counts: tuple[FeedbackCount, ...]
    waiting: int
    unresolved: int


def write_reports(
    connection: sa.Connection, endpoint: str, reports: Sequence[Report], now: datetime
) -> Written:
    """Adds reports; of one request and outcome, the first stands and later ones change nothing.

    Call it in a transaction.
    """
    at = _own_moment(connection, endpoint, now)
    known = _known(connection, endpoint, [r.request_id for r in reports if r.request_id])
    rows = []
    for report in reports:
        key = (report.request_id, report.outcome)
        if report.request_id is not None:
            if key in known:
                continue
            known.add(key)
        rows.append(
            {
                "received_at": at,
                "counted_at": at if report.arm is not None else None,
                "endpoint": endpoint,
                "arm": report.arm,
                "outcome": report.outcome,
                "of": report.of,
                "count": report.count,
                "request_id": report.request_id,
            }
        )
    if rows:
        connection.execute(sa.insert(feedback), rows)
    waiting = sum(row["arm"] is None for row in rows)
    return Written(len(rows) - waiting, waiting, len(reports) - len(rows))


def read_since(
    connection: sa.Connection, endpoint: str, arms: Collection[str], after: datetime
) -> FeedbackGrowth:
    """What was counted for these arms after a moment.

    Nothing is missed and nothing counted twice by whoever goes on from `until`: the moments of
    one endpoint are those of its commits, in their order.
    """
    counted = feedback.c.counted_at
    later = (feedback.c.endpoint == endpoint, counted > after)
    # A report is counted within its wait: the partitions before hold none.
    recent = feedback.c.received_at > after - WAIT - timedelta(minutes=1)
    newest = connection.scalar(sa.select(sa.func.max(counted)).where(*later, recent))
    if newest is None:
        return FeedbackGrowth((), after)
    query = _sums().where(*later, recent, counted <= newest, feedback.c.arm.in_(arms))
    return FeedbackGrowth(_counts(connection, query), newest)


def read_summary(
    connection: sa.Connection, endpoint: str, since: datetime, now: datetime
) -> FeedbackSummary:
    """What was received since then, by arm and outcome, and what is not known whose it is."""
    its = (feedback.c.endpoint == endpoint, feedback.c.received_at >= since)
    counts = _counts(connection, _sums().where(*its, feedback.c.arm.is_not(None)))
    late = feedback.c.received_at <= now - WAIT
    query = sa.select(sa.func.count().filter(sa.not_(late)), sa.func.count().filter(late)).where(
        *its, feedback.c.arm.is_(None)
    )
    waiting, unresolved = connection.execute(query).one()
    return FeedbackSummary(counts, waiting, unresolved)


def read_waiting(connection: sa.Connection, since: datetime, limit: int) -> list[tuple[str, str]]:
    """(endpoint, request id) of reports that wait for their arm, the newest first."""
    newest = sa.func.max(feedback.c.received_at)
    query = (
        sa.select(feedback.c.endpoint, feedback.c.request_id)
        .where(feedback.c.arm.is_(None), feedback.c.received_at > since)
        .group_by(feedback.c.endpoint, feedback.c.request_id)
        .order_by(newest.desc())
        .limit(limit)
    )
    return [(row.endpoint, row.request_id) for row in connection.execute(query)]


def put_to_arms(
    connection: sa.Connection, endpoint: str, answered: Mapping[str, str], now: datetime
) -> int:
    """Counts what waited for these requests (id -> arm) for the arm; returns how many reports.

    What somebody else counted meanwhile, or what waited too long, is left as it is. Call it in a
    transaction.
    """
    at = _own_moment(connection, endpoint, now)
    requests_of: dict[str, list[str]] = {}
    for request_id, arm in answered.items():
        requests_of.setdefault(arm, []).append(request_id)
    counted = 0
    for arm, requests in requests_of.items():
        update = (
            sa.update(feedback)
            .where(
                feedback.c.endpoint == endpoint,
                feedback.c.request_id.in_(requests),
                feedback.c.arm.is_(None),
                feedback.c.received_at > now - WAIT,
            )
            .values(arm=arm, counted_at=at)
        )
        counted += connection.execute(update).rowcount
    return counted


def _own_moment(connection: sa.Connection, endpoint: str, now: datetime) -> datetime:
    """A moment after all that were counted of this endpoint before, until the transaction ends.

    The lock makes the order of moments that of commits, whichever processes write and however
    their clocks differ.
    """
    name = sa.func.hashtextextended(f"telemetry.feedback {endpoint}", 0)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(name)))
    newest = connection.scalar(
        sa.select(sa.func.max(feedback.c.counted_at)).where(feedback.c.endpoint == endpoint)
    )
    return max(now, newest + _A_MOMENT) if newest else now


def _known(
    connection: sa.Connection, endpoint: str, requests: Iterable[str]
) -> set[tuple[str | None, str]]:
    query = sa.select(feedback.c.request_id, feedback.c.outcome).where(
        feedback.c.endpoint == endpoint, feedback.c.request_id.in_(sorted(set(requests)))
    )
    return {(row.request_id, row.outcome) for row in connection.execute(query)}


def _sums() -> sa.Select[Any]:
    return (
        sa.select(
            feedback.c.arm,
            feedback.c.outcome,
            sa.func.sum(feedback.c.of).label("judged"),
            sa.func.sum(feedback.c["count"]).label("had_it"),
        )
        .group_by(feedback.c.arm, feedback.c.outcome)
        .order_by(feedback.c.arm, feedback.c.outcome)
    )


def _counts(connection: sa.Connection, query: sa.Select[Any]) -> tuple[FeedbackCount, ...]:
    return tuple(
        FeedbackCount(row.arm, row.outcome, int(row.judged), int(row.had_it))
        for row in connection.execute(query)
    )

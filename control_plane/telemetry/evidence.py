"""What arms did since somebody last looked: every scrape counted once, whichever server it is of.

A server's scrapes come one after another, each with what grew since the one before. So it is
enough to remember of each server up to which scrape it was read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from control_plane.telemetry.tables import MORE, arm_latest, arm_steps, server_latest

Cursors = dict[str, str]
"""A server's id -> the time of the newest scrape that was read of it."""

_ROUNDING = timedelta(milliseconds=1)


@dataclass
class ArmGrowth:
    """What one arm did: `answered` attempts had a result, `failures` of them were its own fault.

    `buckets` are of how long it took, `first` of the time to its first response, `shadow` of how
    long copies took, `confidence` of how sure answers were. `more` has the counters of
    `tables.MORE`: what became of copies of requests, and its model's queue.
    """

    answered: int = 0
    failures: int = 0
    buckets: Counter[int] = field(default_factory=Counter)
    first: Counter[int] = field(default_factory=Counter)
    shadow: Counter[int] = field(default_factory=Counter)
    confidence: Counter[int] = field(default_factory=Counter)
    more: Counter[str] = field(default_factory=Counter)

    def add(self, row: Mapping[str, Any]) -> None:
        # What a full arm refused was never run, and says nothing of the version.
        refused = row["errors"] - (row["failures"] - row["handed_on"])
        self.answered += row["requests"] - max(0, refused)
        self.failures += row["failures"]
        self.buckets.update(dict(zip(row["buckets"], row["counts"], strict=True)))
        self.first.update(dict(zip(row["first_buckets"], row["first_counts"], strict=True)))
        self.shadow.update(dict(zip(row["shadow_buckets"], row["shadow_counts"], strict=True)))
        sure = zip(row["confidence_buckets"], row["confidence_counts"], strict=True)
        self.confidence.update(dict(sure))
        self.more.update({name: row[name] for name in MORE})


@dataclass(frozen=True)
class Growth:
    """All servers together; `seconds` is the time that passed on the one that was read most of.

    `measured` False: no server was scraped since.
    """

    arms: Mapping[str, ArmGrowth]
    seconds: float
    measured: bool
    cursors: Cursors


def read_growth(
    connection: sa.Connection,
    endpoint: str,
    arms: Collection[str],
    began: datetime,
    cursors: Cursors,
) -> Growth:
    """What these arms did since the cursors, or since a beginning where there are none.

    A scrape that reaches back before the beginning is left out: what it counts may be older.
    Call it in a transaction that sees one state of the store.
    """
    newest = {
        str(row.server_id): row.sampled_at
        for row in connection.execute(
            sa.select(server_latest.c.server_id, server_latest.c.sampled_at)
        )
        if row.sampled_at > began
    }
    read = {server: datetime.fromisoformat(at) for server, at in cursors.items()}
    after = {server: read.get(server, began) for server in newest}
    fresh = {server for server, at in newest.items() if at > after[server]}
    found = {arm: ArmGrowth() for arm in arms}
    if fresh:
        query = sa.select(arm_steps).where(
            arm_steps.c.endpoint == endpoint,
            arm_steps.c.arm.in_(arms),
            arm_steps.c.sampled_at > min(after[server] for server in fresh),
        )
        for row in connection.execute(query).mappings():
            at, server = row["sampled_at"], str(row["server_id"])
            whole = at - timedelta(milliseconds=row["covers_ms"]) >= began - _ROUNDING
            if server in fresh and after[server] < at <= newest[server] and whole:
                found[row["arm"]].add(dict(row))
    seconds = max(((newest[s] - after[s]).total_seconds() for s in fresh), default=0.0)
    return Growth(
        arms=found,
        seconds=seconds,
        measured=bool(fresh),
        cursors={**cursors, **{server: newest[server].isoformat() for server in fresh}},
    )


@dataclass(frozen=True)
class FailuresLeft:
    """Of the failures that a router allows an arm, how many have not happened.

    `withdrawn`: it allows no attempt any more, however few failed; so it is on a server that was
    started anew (decision 16).
    """

    not_happened: int
    withdrawn: bool = False

    @property
    def usable(self) -> int:
        """How many may still happen."""
        return 0 if self.withdrawn else self.not_happened


def read_failures_left(
    connection: sa.Connection, endpoint: str, arm: str, after: datetime
) -> dict[str, FailuresLeft]:
    """A server's id -> what its router still allows the arm, where its failures are bounded.

    Of those that were scraped after a moment: what was said before it was of another grant.
    """
    query = (
        sa.select(arm_latest.c.server_id, arm_latest.c.failures_left, arm_latest.c.attempts_left)
        .join(server_latest, server_latest.c.server_id == arm_latest.c.server_id)
        .where(
            arm_latest.c.endpoint == endpoint,
            arm_latest.c.arm == arm,
            arm_latest.c.failures_left.is_not(None),
            server_latest.c.sampled_at > after,
        )
    )
    return {
        str(row.server_id): FailuresLeft(int(row.failures_left), row.attempts_left == 0)
        for row in connection.execute(query)
    }

"""What arms did within a span of the past, bin by bin: for trying a template on what was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from control_plane.telemetry.evidence import ArmGrowth
from control_plane.telemetry.tables import arm_steps, feedback


@dataclass
class Bin:
    """What was counted up to `ends`: by arm, and by arm and outcome (of how many, how many)."""

    ends: datetime
    arms: dict[str, ArmGrowth] = field(default_factory=lambda: defaultdict(ArmGrowth))
    feedback: dict[str, dict[str, tuple[int, int]]] = field(
        default_factory=lambda: defaultdict(dict)
    )


def read_history(
    connection: sa.Connection,
    endpoint: str,
    arms: Collection[str],
    since: datetime,
    until: datetime,
    step: timedelta,
) -> list[Bin]:
    """Every bin in which an arm had a request or feedback, in order.

    A scrape belongs to the bin in which it was taken. Scrapes are kept for a day.
    """
    found: dict[int, Bin] = {}

    def bin_of(at: datetime) -> Bin:
        number = int((at - since) / step)
        return found.setdefault(number, Bin(since + (number + 1) * step))

    query = sa.select(arm_steps).where(
        arm_steps.c.endpoint == endpoint,
        arm_steps.c.arm.in_(arms),
        arm_steps.c.sampled_at >= since,
        arm_steps.c.sampled_at < until,
    )
    for row in connection.execute(query).mappings():
        bin_of(row["sampled_at"]).arms[row["arm"]].add(dict(row))
    for said in _feedback(connection, endpoint, arms, since, until):
        told = bin_of(said["counted_at"]).feedback[said["arm"]]
        of, count = told.get(said["outcome"], (0, 0))
        told[said["outcome"]] = (of + said["of"], count + said["count"])
    return [found[number] for number in sorted(found)]


def _feedback(
    connection: sa.Connection,
    endpoint: str,
    arms: Collection[str],
    since: datetime,
    until: datetime,
) -> list[dict[str, Any]]:
    query = sa.select(feedback).where(
        feedback.c.endpoint == endpoint,
        feedback.c.arm.in_(arms),
        feedback.c.counted_at >= since,
        feedback.c.counted_at < until,
    )
    return [dict(row) for row in connection.execute(query).mappings()]

"""The arms whose requests wait longer than they are worked on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from control_plane.telemetry.tables import arm_latest, model_minutes

WAITS_US = 5000.0
LEAST = 300
"""What is worth a look: so long on the average, of so many requests."""


@dataclass(frozen=True)
class WaitingArm:
    """An arm's model: what its requests waited and were worked on, means in microseconds."""

    endpoint: str
    arm: str
    queue_us: float
    processing_us: float


def read_waiting_arms(connection: sa.Connection, since: datetime) -> list[WaitingArm]:
    """Those of every endpoint, the longest wait first; whoever asked their models is counted."""
    its = model_minutes.c
    requests = sa.func.sum(its.requests_ok)
    queue = sa.func.sum(its.queue_us)
    work = sa.func.sum(its.compute_input_us + its.compute_infer_us + its.compute_output_us)
    arms = sa.select(arm_latest.c.endpoint, arm_latest.c.arm).distinct().subquery()
    query = (
        sa.select(arms.c.endpoint, arms.c.arm, (queue / requests).label("queue"), (work / requests))
        .select_from(model_minutes.join(arms, its.model == arms.c.arm))
        .where(its.sampled_at >= since)
        .group_by(arms.c.endpoint, arms.c.arm)
        .having(requests >= LEAST, queue > WAITS_US * requests, queue > work)
        .order_by(sa.desc("queue"))
    )
    return [
        WaitingArm(endpoint, arm, float(waits), float(works))
        for endpoint, arm, waits, works in connection.execute(query)
    ]

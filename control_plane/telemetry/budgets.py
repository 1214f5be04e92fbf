"""How many requests callers sent and how many came back as errors, over windows up to days."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa

from control_plane.telemetry.tables import arm_minutes

Windows = Mapping[timedelta, tuple[int, int]]
"""Window -> (requests, those of them that came back as errors)."""


def read_windows(
    connection: sa.Connection,
    endpoints: Collection[str],
    windows: Collection[timedelta],
    now: datetime,
) -> dict[str, Windows]:
    """What callers of each endpoint met within the windows that end now, to the minute.

    An attempt that was handed on to the primary counts there, and is no request of its own.
    """
    if not endpoints:
        return {}
    columns = []
    for window in windows:
        within = arm_minutes.c.sampled_at > now - window - timedelta(minutes=1)
        requests = arm_minutes.c.requests - arm_minutes.c.handed_on
        for count in (requests, arm_minutes.c.errors):
            columns.append(sa.func.coalesce(sa.func.sum(count).filter(within), 0))
    query = (
        sa.select(arm_minutes.c.endpoint, *columns)
        .where(
            arm_minutes.c.endpoint.in_(endpoints),
            arm_minutes.c.sampled_at > now - max(windows) - timedelta(minutes=1),
        )
        .group_by(arm_minutes.c.endpoint)
    )
    found: dict[str, Windows] = {name: dict.fromkeys(windows, (0, 0)) for name in endpoints}
    for name, *counts in connection.execute(query):
        pairs = zip(counts[::2], counts[1::2], strict=True)
        found[name] = {w: (int(of), int(bad)) for w, (of, bad) in zip(windows, pairs, strict=True)}
    return found

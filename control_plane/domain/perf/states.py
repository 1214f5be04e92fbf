"""The states of a perf run."""

from __future__ import annotations

from enum import StrEnum


class PerfState(StrEnum):
    """Queued for its server; its model being loaded; measured; being cancelled; and the ends."""

    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = (PerfState.PREPARING, PerfState.RUNNING, PerfState.CANCELLING)
"""Those that have their server to themselves."""

OVER = (PerfState.SUCCEEDED, PerfState.FAILED, PerfState.CANCELLED)

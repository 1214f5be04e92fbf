"""A task belongs to the request that caused it: so do its audit events, messages and log lines.

What a rollout's look sets going belongs to that rollout in the same way.
"""

from __future__ import annotations

from typing import Any

from celery import Task

from control_plane.adapters.queue import REQUEST_ID_HEADER, ROLLOUT_HEADER
from control_plane.audit.request import answering
from control_plane.audit.subject import about


class CausedTask(Task):
    """Runs as a part of what its message says it goes back to; by the clock, of nothing."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        headers = self.request.headers or {}
        rollout = headers.get(ROLLOUT_HEADER)
        said = {"rollout": str(rollout)} if rollout else {}
        with answering(str(headers.get(REQUEST_ID_HEADER) or "")), about(**said):
            return super().__call__(*args, **kwargs)

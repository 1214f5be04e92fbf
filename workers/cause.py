"""A task belongs to the request that caused it: so do its audit events, messages and log lines."""

from __future__ import annotations

from typing import Any

from celery import Task

from control_plane.adapters.queue import REQUEST_ID_HEADER
from control_plane.audit.request import answering


class CausedTask(Task):
    """Runs as a part of the request whose id its message carries; by the clock, of none."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        headers = self.request.headers or {}
        with answering(str(headers.get(REQUEST_ID_HEADER) or "")):
            return super().__call__(*args, **kwargs)

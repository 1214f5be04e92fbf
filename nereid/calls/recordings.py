"""Recordings of what callers send, for perf runs to send again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nereid.calls.asking import PAGE_SIZE, ask, at_most, looking, part, read
from nereid.errors import WaitTimeoutError
from nereid.recording_resources import Recording
from nereid.steps import Steps


def recordings(endpoint: str, *, limit: int | None = PAGE_SIZE) -> Steps[list[Recording]]:
    """An endpoint's recordings, newest first; all with None."""
    found = yield from at_most(limit, _at(endpoint))
    return [Recording.from_json(raw) for raw in found]


def recording(endpoint: str, name: str) -> Steps[Recording]:
    """One recording: how far it is, and what may be told of it."""
    return Recording.from_json((yield from read("GET", _at(endpoint, name))))


def start_recording(endpoint: str, **asked: Any) -> Steps[Recording]:
    """Begin to record what callers send; it ends by itself (`wait_recording` waits for that).

    >>> nereid.start_recording("digits", requests=500, percent=5, length="10m")

    Args:
        asked: `name`, `server`, `requests`, `bytes`, `length`, `percent`, `reason`, as the REST API
            has them; what is None is left out.
    """
    body = {key: value for key, value in asked.items() if value is not None}
    return Recording.from_json((yield from read("POST", _at(endpoint), json=body)))


def stop_recording(endpoint: str, name: str) -> Steps[Recording]:
    """End a recording now; what it has is kept."""
    path = f"{_at(endpoint, name)}stop/"
    return Recording.from_json((yield from read("POST", path, json={})))


def delete_recording(endpoint: str, name: str) -> Steps[None]:
    """Delete a recording with all that it holds."""
    yield from ask("DELETE", _at(endpoint, name))


def wait_recording(
    endpoint: str,
    name: str,
    *,
    timeout: float = 86_400.0,
    on_progress: Callable[[Recording], None] | None = None,
) -> Steps[Recording]:
    """Wait until a recording is over, however it ended: look at its `state`."""
    seen = yield from looking(
        lambda: recording(endpoint, name), lambda one: one.over, timeout, on_progress
    )
    if not seen.over:
        raise WaitTimeoutError(f"recording {name} goes on after {timeout:g} s ({seen.reason})")
    return seen


def _at(endpoint: str, name: str | None = None) -> str:
    there = f"/endpoints/{part(endpoint)}/recordings/"
    return there if name is None else f"{there}{part(name)}/"

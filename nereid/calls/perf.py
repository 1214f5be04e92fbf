"""Perf runs: models under load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nereid.calls.asking import PAGE_SIZE, at_most, looking, read
from nereid.errors import WaitTimeoutError
from nereid.perf_resources import PerfRun
from nereid.steps import Steps


def perf_runs(
    *,
    name: str | None = None,
    number: int | None = None,
    kind: str | None = None,
    server: str | None = None,
    state: str | None = None,
    limit: int | None = PAGE_SIZE,
) -> Steps[list[PerfRun]]:
    """The newest `limit` runs, newest first; all that fit with None.

    Args:
        name: of the model, pipeline or endpoint; `number` of the version or revision.
        kind: `version`, `pipeline` or `endpoint`.
    """
    found = yield from at_most(
        limit, "/perf-runs/", name=name, number=number, kind=kind, server=server, state=state
    )
    return [PerfRun.from_json(raw) for raw in found]


def perf_run(number: int) -> Steps[PerfRun]:
    """One run with every level that it measured so far."""
    return PerfRun.from_json((yield from read("GET", f"/perf-runs/{int(number)}/")))


def start_perf_run(
    target: Mapping[str, Any],
    server: str,
    *,
    allow_production: bool = False,
    reason: str = "",
    **request: Any,
) -> Steps[PerfRun]:
    """Ask for a run; it begins when its server is free (`wait_perf_run` waits for its end).

    >>> nereid.start_perf_run({"model": "digits", "version": 3}, "lab-1", concurrency=[1, 2, 4],
    ...                       latency_limit="20ms")

    Args:
        target: `{"model": ..., "version": ...}`, `{"pipeline": ..., "revision": ...}` or
            `{"endpoint": ...}`.
        allow_production: the server may be one that is not marked as a lab.
        request: all else that a run can say, as the REST API has it.
    """
    body: dict[str, Any] = {"target": dict(target), "server": server, **request}
    if allow_production:
        body["allow_production"] = True
    if reason:
        body["reason"] = reason
    return PerfRun.from_json((yield from read("POST", "/perf-runs/", json=body)))


def cancel_perf_run(number: int, reason: str = "") -> Steps[PerfRun]:
    """End a run; its load stops within seconds, and what it measured stays."""
    body = {"reason": reason} if reason else {}
    raw = yield from read("POST", f"/perf-runs/{int(number)}/cancel/", json=body)
    return PerfRun.from_json(raw)


def accept_perf_run(number: int, reason: str = "") -> Steps[PerfRun]:
    """Say that a version's run is good: later versions of its model are held against it."""
    body = {"reason": reason} if reason else {}
    raw = yield from read("POST", f"/perf-runs/{int(number)}/accept/", json=body)
    return PerfRun.from_json(raw)


def wait_perf_run(
    number: int,
    *,
    timeout: float = 3600.0,
    on_progress: Callable[[PerfRun], None] | None = None,
) -> Steps[PerfRun]:
    """Wait until a run is over, however it ended: look at its `state`."""
    seen = yield from looking(lambda: perf_run(number), lambda run: run.over, timeout, on_progress)
    if not seen.over:
        raise WaitTimeoutError(
            f"perf run {number} is still {seen.state} ({seen.reason}) after {timeout:g} s; "
            f"it goes on: look with `nereid perf show {number}`"
        )
    return seen

"""Tunes: how a version is best served, searched for by measurement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nereid.calls.asking import PAGE_SIZE, at_most, looking, read
from nereid.errors import WaitTimeoutError
from nereid.steps import Steps
from nereid.tune_resources import Tune


def tunes(
    *,
    name: str | None = None,
    number: int | None = None,
    server: str | None = None,
    state: str | None = None,
    limit: int | None = PAGE_SIZE,
) -> Steps[list[Tune]]:
    """The newest `limit` tunes, newest first; all that fit with None.

    Args:
        name: of the model; `number` of the version.
    """
    found = yield from at_most(
        limit, "/tunes/", name=name, number=number, server=server, state=state
    )
    return [Tune.from_json(raw) for raw in found]


def tune(number: int) -> Steps[Tune]:
    """One tune with every trial so far, and what it came to."""
    return Tune.from_json((yield from read("GET", f"/tunes/{int(number)}/")))


def start_tune(
    model: str,
    version: int,
    server: str,
    *,
    allow_production: bool = False,
    reason: str = "",
    **request: Any,
) -> Steps[Tune]:
    """Ask for a tune; it begins when its server is free (`wait_tune` waits for its end).

    >>> nereid.start_tune("digits", 3, "lab-1", objective="throughput", latency_limit="20ms")

    Args:
        allow_production: the server may be one that is not marked as a lab.
        request: all else that a tune can say, as the REST API has it.
    """
    target = {"model": model, "version": version}
    body: dict[str, Any] = {"target": target, "server": server, **request}
    if allow_production:
        body["allow_production"] = True
    if reason:
        body["reason"] = reason
    return Tune.from_json((yield from read("POST", "/tunes/", json=body)))


def cancel_tune(number: int, reason: str = "") -> Steps[Tune]:
    """End a tune with the trial that it is at; what it measured stays."""
    body = {"reason": reason} if reason else {}
    return Tune.from_json((yield from read("POST", f"/tunes/{int(number)}/cancel/", json=body)))


def apply_tune(number: int, endpoint: str, reason: str = "") -> Steps[dict[str, Any]]:
    """Serve the version on an endpoint as the tune found it best; waits for nothing.

    Returns:
        What became of the change: its `generation`, or the number of the `change` that waits for
        a second person.
    """
    body = {"endpoint": endpoint, **({"reason": reason} if reason else {})}
    found: dict[str, Any] = yield from read("POST", f"/tunes/{int(number)}/apply/", json=body)
    return found


def wait_tune(
    number: int,
    *,
    timeout: float = 3600.0,
    on_progress: Callable[[Tune], None] | None = None,
) -> Steps[Tune]:
    """Wait until a tune is over, however it ended: look at its `state`."""
    seen = yield from looking(lambda: tune(number), lambda one: one.over, timeout, on_progress)
    if not seen.over:
        raise WaitTimeoutError(
            f"tune {number} is still {seen.state} ({seen.reason}) after {timeout:g} s; "
            f"it goes on: look with `nereid tune show {number}`"
        )
    return seen

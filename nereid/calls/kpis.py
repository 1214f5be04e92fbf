"""How well an endpoint is served."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from nereid.calls.asking import looking, part, read
from nereid.errors import WaitTimeoutError
from nereid.kpi_resources import EndpointKpis, FindingTry, Opportunity
from nereid.steps import Steps


def kpis(
    endpoint: str,
    window: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Steps[EndpointKpis]:
    """Latency, rate, queue, batches, utilisation and where time goes, by arm and step.

    Args:
        window: so long until now: ``5m`` (unless you say), ``1h``, ``2d``.
        since: in its place, with the zone; `until` now, unless you say. Figures are of whole
            minutes and kept for 14 days.
    """
    moments = {"since": since, "until": until}
    params = {key: moment.isoformat() for key, moment in moments.items() if moment}
    if window is not None:
        params["window"] = window
    path = f"/endpoints/{part(endpoint)}/kpis/"
    return EndpointKpis.from_json((yield from read("GET", path, params=params)))


def try_finding(
    endpoint: str, finding: Opportunity, *, server: str | None = None, window: str | None = None
) -> Steps[FindingTry]:
    """Measure what a finding says, as it is and changed, on a lab server.

    >>> worst = nereid.kpis("digits").findings[0]
    >>> nereid.wait_finding_try("digits", nereid.try_finding("digits", worst).id).ratio

    Args:
        server: the one that is a lab, unless you say.
        window: that the finding was found in.
    """
    said = {"server": server, "window": window}
    body = {"code": finding.code, "arm": finding.arm, "step": finding.step}
    body |= {key: value for key, value in said.items() if value is not None}
    path = f"/endpoints/{part(endpoint)}/kpis/tries/"
    return FindingTry.from_json((yield from read("POST", path, json=body)))


def finding_try(endpoint: str, number: int) -> Steps[FindingTry]:
    """How far a try is, and what it measured."""
    path = f"/endpoints/{part(endpoint)}/kpis/tries/{int(number)}/"
    return FindingTry.from_json((yield from read("GET", path)))


def wait_finding_try(
    endpoint: str,
    number: int,
    *,
    timeout: float = 3600.0,
    on_progress: Callable[[FindingTry], None] | None = None,
) -> Steps[FindingTry]:
    """Wait until both runs of a try are over, however they ended: look at its `state`."""
    seen = yield from looking(
        lambda: finding_try(endpoint, number), lambda one: one.over, timeout, on_progress
    )
    if not seen.over:
        raise WaitTimeoutError(
            f"perf runs {seen.before} and {seen.after} are still {seen.state} after {timeout:g} s"
        )
    return seen

"""How well an endpoint is served."""

from __future__ import annotations

from datetime import datetime

from nereid.calls.asking import part, read
from nereid.kpi_resources import EndpointKpis
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

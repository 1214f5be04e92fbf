"""What perf runs measured of the network to an endpoint: Triton itself sees nothing of it."""

from __future__ import annotations

from control_plane.domain.kpis.report import Network
from control_plane.domain.perf.request import LoadKind, TargetKind
from control_plane.domain.perf.states import PerfState
from control_plane.telemetry.store import TelemetryStore
from control_plane.tuning.models import PerfRun
from control_plane.tuning.results import levels_of, with_levels
from control_plane.tuning.selectors import perf_runs


def network_to(endpoint: str, rps: float | None, store: TelemetryStore) -> Network | None:
    """Of the newest run against an endpoint that succeeded, the level nearest to a rate.

    It is the way from the load generator's machine, with Triton's own endpoint. None where no run
    of this endpoint has succeeded.
    """
    its = perf_runs().filter(kind=TargetKind.ENDPOINT, name=endpoint, state=PerfState.SUCCEEDED)
    run = its.order_by("-id").first()
    levels = levels_of(with_levels([run], store)[0]) if run else []
    if run is None or not levels:
        return None
    near = min(levels, key=lambda level: abs(level.measurement.throughput - (rps or 0.0)))
    return Network(us=near.measurement.network_us, perf_run=run.pk, level=_level(run, near.value))


def _level(run: PerfRun, value: float) -> str:
    if run.asked.load.kind is LoadKind.CONCURRENCY:
        return f"{value:g} caller{'' if value == 1 else 's'}"
    return f"{value:g} requests a second"

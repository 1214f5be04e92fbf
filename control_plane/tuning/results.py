"""What runs measured, beside their records: read for a whole page at once."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sqlalchemy.exc import SQLAlchemyError

from control_plane.domain.perf.summary import peak
from control_plane.telemetry.perf import PerfLevel
from control_plane.telemetry.store import TelemetryStore
from control_plane.tuning.models import PerfRun

logger = logging.getLogger(__name__)


def with_levels(runs: Iterable[PerfRun], store: TelemetryStore) -> list[PerfRun]:
    """The runs, each with its levels (`levels_of`), in one query whatever their number.

    A store that does not answer leaves them without.
    """
    rows = list(runs)
    try:
        found = store.perf_levels([run.key for run in rows])
    except SQLAlchemyError:
        logger.warning("the telemetry store does not answer", exc_info=True)
        found = {}
    for run in rows:
        run.measured = found.get(run.key, [])  # type: ignore[attr-defined]
    return rows


def files_of(run: PerfRun, store: TelemetryStore) -> list[tuple[int, str]]:
    """(level, name) of what the load generator wrote and is kept; none where the store is away."""
    try:
        return list(store.perf_files(run.key))
    except SQLAlchemyError:
        logger.warning("the telemetry store does not answer", exc_info=True)
        return []


def levels_of(run: PerfRun) -> list[PerfLevel]:
    """What a run of `with_levels` measured, in the order in which it did."""
    return list(getattr(run, "measured", ()))


def peak_of(run: PerfRun) -> PerfLevel | None:
    """Of a run of `with_levels` the level with the most throughput within its latency limit."""
    asked = run.asked
    levels = [(level, level.measurement) for level in levels_of(run)]
    return peak(levels, asked.latency_limit, asked.percentile)

"""What a tune knows: its trials, and the measurements in them taken together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from control_plane.domain.perf.export import Measurement
from control_plane.domain.tuning.configuration import Configuration
from control_plane.domain.tuning.request import Objective, TuneRequest
from control_plane.domain.tuning.states import TrialKind

KEPT_UP = 0.95
"""The share of a required rate that has to be answered."""


@dataclass(frozen=True)
class Level:
    """One measured load of a trial: callers, requests a second, or rows of a request."""

    load: float
    measurement: Measurement


@dataclass(frozen=True)
class Trial:
    """One configuration, with what was measured of it; `failed` says why there is nothing (more).

    `over` False is being measured still.
    """

    number: int
    kind: TrialKind
    configuration: Configuration
    loads: tuple[float, ...]
    levels: tuple[Level, ...] = ()
    failed: str = ""
    over: bool = True


@dataclass(frozen=True)
class Point:
    """One configuration under one load, the mean of all that was measured of it.

    `latency_us` is at the request's percentile; `spread` the widest of its windows, in percent.
    """

    configuration: Configuration
    load: float
    throughput: float
    latency_us: float
    times: int
    spread: float
    trials: tuple[int, ...]
    within: bool

    @property
    def cost(self) -> int:
        """Copies of the model: what a configuration takes of memory."""
        return self.configuration.instances


def points_of(request: TuneRequest, trials: Sequence[Trial]) -> list[Point]:
    """Every (configuration, load) that was measured, in the order in which it was first."""
    rows: dict[tuple[Configuration, float], list[tuple[int, Measurement]]] = {}
    for trial in trials:
        if trial.kind is TrialKind.CALIBRATION:
            continue
        for level in trial.levels:
            key = (trial.configuration, level.load)
            rows.setdefault(key, []).append((trial.number, level.measurement))
    return [_point(request, key, measured) for key, measured in rows.items()]


def _point(
    request: TuneRequest,
    key: tuple[Configuration, float],
    measured: Sequence[tuple[int, Measurement]],
) -> Point:
    throughput = fmean(one.throughput for _, one in measured)
    latency = fmean(one.percentile_us(request.percentile) for _, one in measured)
    if request.objective is Objective.LATENCY:
        within = throughput >= KEPT_UP * request.rate * request.measured.batch
    else:
        within = request.latency_limit is None or latency <= request.latency_limit
    return Point(
        configuration=key[0],
        load=key[1],
        throughput=throughput,
        latency_us=latency,
        times=len(measured),
        spread=max(one.spread for _, one in measured),
        trials=tuple(number for number, _ in measured),
        within=within,
    )

"""The analytical model corrected by what was measured: what may be better than the best so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from control_plane.domain.tuning.configuration import Configuration
from control_plane.domain.tuning.pareto import ALIKE, score
from control_plane.domain.tuning.performance_model import PerformanceModel
from control_plane.domain.tuning.request import Objective, TuneRequest
from control_plane.domain.tuning.study import KEPT_UP, Point
from control_plane.domain.tuning.surrogate import Observed, Surrogate

THROUGHPUT_SPREAD = 0.25
LATENCY_SPREAD = 0.4
"""How far the model is off from place to place, in logarithms."""

LEAST_NOISE = 0.02
"""Of a throughput that was measured, in logarithms; of a tail latency three times as much."""


@dataclass(frozen=True)
class Judged:
    """What is expected of a configuration under a load that was not measured.

    `throughput` and `latency_us` are medians, with the standard deviations of their logarithms.
    `within` is the probability of being within the limit, `better` that of being within it and
    better than the best by more than `ALIKE`, `gain` the expected improvement of the objective's
    logarithm, and `hoped` what is maximised for the seed.
    """

    configuration: Configuration
    load: float
    throughput: float
    throughput_deviation: float
    latency_us: float
    latency_deviation: float
    within: float
    better: float
    gain: float
    hoped: float

    def to_document(self) -> dict[str, Any]:
        """What is kept of it: what was expected of a trial."""
        return {
            "load": self.load,
            "throughput": round(self.throughput, 2),
            "throughput_deviation": round(self.throughput_deviation, 4),
            "latency_us": round(self.latency_us, 1),
            "latency_deviation": round(self.latency_deviation, 4),
            "within": round(self.within, 4),
            "better": round(self.better, 4),
        }


class Posterior:
    """What is known of every configuration under every load."""

    def __init__(
        self, request: TuneRequest, model: PerformanceModel, points: Sequence[Point]
    ) -> None:
        self._request = request
        self._model = model
        rates, latencies = [], []
        for one in points:
            expected = model.predict(one.configuration, one.load)
            noise = max(LEAST_NOISE, one.spread / 300) / math.sqrt(one.times)
            rates.append(_observed(one, one.throughput, expected.throughput, noise))
            latencies.append(_observed(one, one.latency_us, expected.p99_us, 3 * noise))
        self._rates = Surrogate(rates, THROUGHPUT_SPREAD, model.cores)
        self._latencies = Surrogate(latencies, LATENCY_SPREAD, model.cores)

    def judge(
        self, places: Sequence[tuple[Configuration, float]], best: Point | None
    ) -> list[Judged]:
        """What is expected at each place, held against the best that was measured (None: none is
        within the limit)."""
        if not places:
            return []
        expected = [self._model.predict(*place) for place in places]
        rate_off, rate_sd = self._rates.at(places)
        late_off, late_sd = self._latencies.at(places)
        rate = np.log([max(one.throughput, 1e-9) for one in expected]) + rate_off
        late = np.log([max(one.p99_us, 1e-9) for one in expected]) + late_off
        within = self._within(rate, rate_sd, late, late_sd)
        paced = self._request.objective is Objective.LATENCY
        mean, sd = (-late, late_sd) if paced else (rate, rate_sd)
        if best is None:
            # Anything within the limit is better than nothing, and the best of it the most.
            better = within
            gain = within * (1 + mean - mean.min())
        else:
            known = score(self._request, best)
            better = within * scipy.special.ndtr((mean - known - ALIKE) / sd)
            z = (mean - known) / sd
            density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
            gain = within * sd * (z * scipy.special.ndtr(z) + density)
        hoped = mean + np.log(np.maximum(within, 1e-9))
        return [
            Judged(
                configuration=configuration,
                load=load,
                throughput=float(np.exp(rate[i])),
                throughput_deviation=float(rate_sd[i]),
                latency_us=float(np.exp(min(late[i], 50.0))),
                latency_deviation=float(late_sd[i]),
                within=float(within[i]),
                better=float(better[i]),
                gain=float(gain[i]),
                hoped=float(hoped[i]),
            )
            for i, (configuration, load) in enumerate(places)
        ]

    def _within(self, rate: Any, rate_sd: Any, late: Any, late_sd: Any) -> Any:
        request = self._request
        if request.objective is Objective.LATENCY:
            needed = math.log(KEPT_UP * request.rate * request.measured.batch)
            return scipy.special.ndtr((rate - needed) / rate_sd)
        if request.latency_limit is None:
            return np.ones(len(late))
        return scipy.special.ndtr((math.log(request.latency_limit) - late) / late_sd)


def _observed(point: Point, measured: float, predicted: float, noise: float) -> Observed:
    ratio = math.log(max(measured, 1e-9) / max(predicted, 1e-9))
    return Observed(point.configuration, point.load, ratio, noise)

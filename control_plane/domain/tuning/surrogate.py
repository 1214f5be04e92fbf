"""How far the analytical model is off, learned from what was measured: a Gaussian process.

The logarithm of measured over predicted is taken for a function of the configuration and the load
that varies smoothly. Where little was measured nearby, it is not known: that is what makes a
measurement worth while.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from control_plane.domain.tuning.configuration import Configuration

Array = NDArray[np.float64]

BIAS = 0.5
"""Standard deviation of what the model is off everywhere, in logarithms."""

LENGTHS = {"batch": 2.5, "delay": 2.5, "preferred": 1.5, "instances": 1.5, "threads": 1.5}
LOAD_LENGTH = 2.5
"""Over how many doublings of a dimension the model is off alike."""


@dataclass(frozen=True)
class Observed:
    """One measurement: log(measured / predicted), and the standard deviation of its noise."""

    configuration: Configuration
    load: float
    log_ratio: float
    noise: float


class Surrogate:
    """The posterior of the logarithm of measured over predicted.

    Args:
        spread: the standard deviation of what the model is off from place to place.
    """

    def __init__(self, observed: Sequence[Observed], spread: float, cores: int) -> None:
        self._spread = spread
        self._cores = cores
        self._points = self._features([(one.configuration, one.load) for one in observed])
        noise = np.array([one.noise**2 for one in observed], dtype=float)
        self._ratios = np.array([one.log_ratio for one in observed], dtype=float)
        covariance = self._kernel(self._points, self._points) + np.diag(noise + 1e-9)
        self._inverse: Array = np.linalg.inv(covariance) if len(observed) else covariance

    def at(self, places: Sequence[tuple[Configuration, float]]) -> tuple[Array, Array]:
        """(mean, standard deviation) of the logarithm at each place."""
        prior = self._spread**2 + BIAS**2
        if not len(self._ratios):
            return np.zeros(len(places)), np.full(len(places), math.sqrt(prior))
        across = self._kernel(self._features(places), self._points)
        weights = across @ self._inverse
        mean: Array = weights @ self._ratios
        variance: Array = prior - np.einsum("ij,ij->i", weights, across)
        return mean, np.sqrt(np.maximum(variance, 1e-6))

    def _kernel(self, one: Array, other: Array) -> Array:
        """Squared exponential, and a constant: part of the error is the same everywhere."""
        apart = ((one[:, None, :] - other[None, :, :]) ** 2).sum(axis=2)
        found: Array = self._spread**2 * np.exp(-apart / 2) + BIAS**2
        return found

    def _features(self, places: Sequence[tuple[Configuration, float]]) -> Array:
        rows = [self._place(configuration, load) for configuration, load in places]
        return np.array(rows, dtype=float).reshape(len(rows), 8)

    def _place(self, one: Configuration, load: float) -> list[float]:
        threads = one.threads or self._cores
        return [
            math.log2(one.largest) / LENGTHS["batch"],
            math.log2(1 + one.queue_delay_us / 200) / LENGTHS["delay"],
            math.log2(one.largest / one.sent_at) / LENGTHS["preferred"],
            math.log2(one.instances) / LENGTHS["instances"],
            math.log2(threads) / LENGTHS["threads"],
            # Accelerators are as far apart as can be: nothing is learned of one from another.
            *_apart(one.accelerator),
            math.log2(max(load, 1e-3)) / LOAD_LENGTH,
        ]


def _apart(name: str) -> tuple[float, float]:
    places: dict[str, tuple[float, float]] = {"": (0.0, 0.0), "tensorrt": (3.0, 0.0)}
    return places.get(name, (0.0, 3.0))

"""What measures a finding: two perf runs, as it is and changed, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from control_plane.domain.kpis.opportunities import Experiment, Spot
from control_plane.domain.serving.overriding import composed


def on_version(spot: Spot, overrides: Mapping[str, Any]) -> Experiment | None:
    """A version as its arm serves it, beside the same with the overrides laid over that; both at
    the rate that one server has, Poisson. None where the spot is of no version, or nobody asks it.
    """
    if spot.version is None or not spot.rps:
        return None
    model, number = spot.version
    asked: dict[str, Any] = {
        "target": {"model": model, "version": number},
        "request_rate": [max(1, round(spot.server_rps))],
        "distribution": "poisson",
    }
    before = {**asked, "overrides": dict(spot.overrides)} if spot.overrides else asked
    return Experiment(before, {**asked, "overrides": composed(spot.overrides, overrides)})


def on_endpoint(spot: Spot, **changed: Any) -> Experiment:
    """The endpoint as it is routed now, asked by one caller, beside the same asked otherwise."""
    asked = {"target": {"endpoint": spot.endpoint}, "concurrency": [1]}
    return Experiment(asked, {**asked, **changed})


@dataclass(frozen=True)
class Measured:
    """The mean time that one row took before and after a change, in microseconds."""

    before_us: float
    after_us: float

    @property
    def ratio(self) -> float:
        """After / before: below 1 the change is worth something. Example: 800 of 1000 us: 0.8."""
        return self.after_us / self.before_us


def row_us(mean_us: float, rows: int) -> float:
    """The mean time of a row [us] = the mean time of a request / its rows.

    >>> row_us(2000.0, 4)
    500.0
    """
    return mean_us / rows

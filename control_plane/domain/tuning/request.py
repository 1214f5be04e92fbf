"""What a tune asks for, as a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from control_plane.domain.perf.request import LoadKind, PerfRequest, Target
from control_plane.domain.routing.fields import duration_text
from control_plane.domain.routing.policy import SECOND


class Objective(StrEnum):
    """Maximum throughput subject to a latency limit; or minimum latency at a required rate."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"


@dataclass(frozen=True)
class TuneRequest:
    """What is tuned, for what, and how much may be measured for it; durations in microseconds.

    `measured` says how the requests of every trial are sent: its load, latency limit and
    overrides are each trial's own. `latency_limit` None bounds nothing; `rate` is in requests per
    second, for the objective latency alone. `space` are the values that are tried, by dimension.
    """

    measured: PerfRequest
    objective: Objective = Objective.THROUGHPUT
    latency_limit: int | None = None
    percentile: int = 99
    rate: float = 0.0
    max_concurrency: int = 64
    trials: int = 24
    time: int = 20 * 60 * SECOND
    space: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def target(self) -> Target:
        return self.measured.target

    @property
    def server(self) -> str:
        return self.measured.server

    @property
    def load_kind(self) -> LoadKind:
        """What the trials' loads are numbers of."""
        paced = self.objective is Objective.LATENCY
        return LoadKind.REQUEST_RATE if paced else LoadKind.CONCURRENCY

    @property
    def loads(self) -> tuple[float, ...]:
        """The loads that trials choose from: the required rate, or callers by powers of two."""
        if self.objective is Objective.LATENCY:
            return (self.rate,)
        found = [1.0]
        while found[-1] * 2 < self.max_concurrency:
            found.append(found[-1] * 2)
        return (*found, float(self.max_concurrency)) if self.max_concurrency > 1 else (1.0,)

    @property
    def most_rows(self) -> int:
        """Rows that are there at once at most."""
        if self.objective is Objective.LATENCY:
            return 64
        return self.max_concurrency * self.measured.batch

    def to_document(self) -> dict[str, Any]:
        """The JSON form, with what was left out filled in."""
        document = self.measured.to_document()
        for key in ("concurrency", "latency_limit", "percentile"):
            document.pop(key, None)
        document |= {
            "objective": self.objective.value,
            "percentile": self.percentile,
            "trials": self.trials,
            "time": duration_text(self.time),
        }
        if self.objective is Objective.LATENCY:
            document["rate"] = self.rate
        else:
            limit = self.latency_limit
            document["latency_limit"] = None if limit is None else duration_text(limit)
            document["max_concurrency"] = self.max_concurrency
        if self.space:
            document["space"] = {name: list(values) for name, values in self.space.items()}
        return document

"""What was counted within a span of time: all that the figures are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class ArmPiece:
    """A piece of the span: what an arm did in it; `seconds` of it were measured."""

    seconds: float
    requests: int
    latencies: Mapping[int, float]


@dataclass(frozen=True)
class ArmCounts:
    """One arm of one endpoint over all servers, as the routers counted it.

    `requests` are its attempts, `failures` those that it failed itself, `handed_on` those of them
    that the primary was asked in its stead, `errors` those whose caller got an error. `latencies`
    and `first` (to the first response) are sketches (`domain.latency`); `duration_us` is the sum.
    `busiest_rps` is the rate of its busiest whole minute, None where there was none.
    """

    requests: int = 0
    failures: int = 0
    handed_on: int = 0
    errors: int = 0
    duration_us: int = 0
    latencies: Mapping[int, float] = field(default_factory=dict)
    first: Mapping[int, float] = field(default_factory=dict)
    busiest_rps: float | None = None
    pieces: tuple[ArmPiece, ...] = ()

    @property
    def refused(self) -> int:
        """What a full arm did not take: errors beyond those that are its own failures."""
        return max(0, self.errors - (self.failures - self.handed_on))

    @property
    def calls(self) -> int:
        """Requests whose answer, good or bad, came from here."""
        return self.requests - self.handed_on


@dataclass(frozen=True)
class ModelCounts:
    """One physical model, or a router, over all servers, as Triton counted it.

    Times are sums in microseconds over requests, and of every request those of its whole batch.
    Whoever sent them is counted: callers, shadows, other endpoints. `pending` is the most that was
    seen in its queue; `instance_seconds` how long its instances could have worked, all of them
    together, None where their number is not known.
    """

    requests_ok: int = 0
    requests_failed: int = 0
    inferences: int = 0
    executions: int = 0
    request_us: int = 0
    queue_us: int = 0
    compute_input_us: int = 0
    compute_infer_us: int = 0
    compute_output_us: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    pending: int = 0
    instance_seconds: float | None = None

    @property
    def computed(self) -> int:
        """Requests that were computed, and not answered from the cache."""
        return max(0, self.requests_ok - self.cache_hits)

    @property
    def compute_us(self) -> int:
        return self.compute_input_us + self.compute_infer_us + self.compute_output_us


@dataclass(frozen=True)
class Counted:
    """What was measured of an endpoint from `since` until `until`.

    `seconds` of it were measured. `arms` and `models` are by physical model; the router is among
    `models` under the endpoint's name. `whole` is what callers asked and got of all arms: a request
    that one failed and another answered is one, and no failure. `servers` has the seconds by
    server, as its id.
    """

    since: datetime
    until: datetime
    seconds: float
    whole: ArmCounts
    arms: Mapping[str, ArmCounts]
    models: Mapping[str, ModelCounts]
    servers: Mapping[str, float]

"""One metric of a template: what is counted, against what, and where too bad begins.

Everything is turned into a share of bad ones (failures, wrong answers, slow requests), so "worse"
always is "more". `fail_at` and `pass_at` are bounds of the candidate's share less the baseline's,
or of the candidate's share alone where it is compared with nothing; latency quantiles have theirs
in the router's buckets (`rows`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from control_plane.domain.routing.policy import SECOND


class Kind(StrEnum):
    """What is counted."""

    ERROR_RATE = "error_rate"
    LATENCY_QUANTILE = "latency_quantile"
    FIRST_RESPONSE_QUANTILE = "first_response_quantile"
    SLA_VIOLATIONS = "sla_violations"
    FEEDBACK = "feedback"
    SHADOW_DISAGREEMENT = "shadow_disagreement"
    SHADOW_ERRORS = "shadow_errors"
    SHADOW_LATENCY_QUANTILE = "shadow_latency_quantile"
    CONFIDENCE = "confidence"
    QUEUE_TIME = "queue_time"
    BURN_RATE = "burn_rate"
    PERF_REGRESSION = "perf_regression"
    PROMQL = "promql"


QUANTILES = frozenset(
    {Kind.LATENCY_QUANTILE, Kind.FIRST_RESPONSE_QUANTILE, Kind.SHADOW_LATENCY_QUANTILE}
)
SHADOWS = frozenset({Kind.SHADOW_DISAGREEMENT, Kind.SHADOW_ERRORS, Kind.SHADOW_LATENCY_QUANTILE})
"""Of copies of requests, which go to the candidate alone."""

FAILURES = frozenset({Kind.ERROR_RATE, Kind.BURN_RATE})
"""What an arm failed of its attempts."""


class Compare(StrEnum):
    """What the candidate is measured against: always what runs beside it, never the past."""

    BASELINE = "baseline"
    TWIN = "twin"
    NONE = "none"


class Goal(StrEnum):
    """What has to be shown."""

    NON_INFERIOR = "non_inferior"
    SUPERIOR = "superior"


class Better(StrEnum):
    """Whether more of the outcome is good or bad."""

    HIGHER = "higher"
    LOWER = "lower"


class Unit(StrEnum):
    """What counts as one piece of evidence.

    A request, where requests succeed or fail independently of each other; a block of time, where
    they hang together: what happens within a block then counts once (`sequence`). A sticky key,
    where one user's requests all meet the same fault: the first of them speaks for all.
    """

    BLOCK = "block"
    KEY = "key"
    REQUEST = "request"


def burn_limit(rate: float, objective: float) -> float:
    """The share of failures that burns a budget `rate` times as fast as it may.

    Worked example: 14.4 times the budget of 99.9 % is 0.0144.
    """
    return round(rate * (1 - objective / 100), 9)


@dataclass(frozen=True)
class Metric:
    """A metric as it is in force.

    `margin` is how much worse (or, for `superior`, how much better at least) in shares of 1, and
    `margin_relative` the same of a latency quantile, in parts of the baseline's. `limit` is the
    highest share of bad ones (for `higher` the lowest of good ones), or of a latency quantile the
    most microseconds, where nothing is compared, and of a reading its highest (or lowest) figure.
    `latency` is where a violation begins and `block`
    how long a block is, in microseconds. `alternative` is the difference that a metric with a
    fixed alternative is made for. `weight` is its part of alpha. `query`, or `of` and `count`, are
    PromQL (`queries`). Readings below `floor` count as the floor, where they are compared. A
    burn rate is bad above `rate` times the budget that `objective` (in percent) leaves; None: that
    of the model, which is known when a run begins. Of a confidence, what is counted are
    answers surer than the baseline's quantile `q`, or than `level` where one is given.
    """

    name: str
    kind: Kind
    compare: Compare = Compare.BASELINE
    goal: Goal = Goal.NON_INFERIOR
    margin: float = 0.0
    margin_relative: float = 0.0
    limit: float | None = None
    q: float = 0.99
    latency: int = 0
    alternative: float | None = None
    outcome: str = ""
    better: Better = Better.LOWER
    required: bool = True
    unit: Unit = Unit.REQUEST
    block: int = 10 * SECOND
    weight: float = 1.0
    query: str = ""
    of: str = ""
    count: str = ""
    floor: float = 0.0
    rate: float = 0.0
    objective: float | None = None
    level: float | None = None

    def with_objective(self, objective: float) -> Metric:
        """The same with the objective that its model has, where it says none itself."""
        own = self.objective or objective
        return replace(self, objective=own, limit=burn_limit(self.rate, own))

    @property
    def is_reading(self) -> bool:
        """Whether blocks of time have a figure each (`readings`), and no requests are counted."""
        return self.kind is Kind.QUEUE_TIME or (self.kind is Kind.PROMQL and not self.of)

    @property
    def is_quantile(self) -> bool:
        """Whether it is a latency that a share of the requests exceeds."""
        return self.kind in QUANTILES

    @property
    def fail_at(self) -> float:
        """The version is bad when it is shown to be above this."""
        if self.limit is not None:
            return round(1 - self.limit, 9) if self.better is Better.HIGHER else self.limit
        return self.margin if self.goal is Goal.NON_INFERIOR else -self.margin

    @property
    def pass_at(self) -> float:
        """The version is good when it is shown to be below this."""
        return self.fail_at if self.alternative is None else self.alternative

    @property
    def block_seconds(self) -> float:
        """How long a block is; 0 where requests are the unit."""
        return self.block / SECOND if self.unit is Unit.BLOCK else 0.0

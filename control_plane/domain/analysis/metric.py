"""One metric of a template: what is counted, against what, and where too bad begins.

Everything is turned into a share of bad ones (failures, wrong answers, slow requests), so "worse"
always is "more". `fail_at` and `pass_at` are bounds of the candidate's share less the baseline's,
or of the candidate's share alone where it is compared with nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What is counted."""

    ERROR_RATE = "error_rate"
    FEEDBACK = "feedback"


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
    they do not: what blocks differ by more than requests would let them weakens all evidence.
    """

    BLOCK = "block"
    REQUEST = "request"


@dataclass(frozen=True)
class Metric:
    """A metric as it is in force.

    `margin` is how much worse (or, for `superior`, how much better at least) in shares of 1.
    `limit` is the highest share of bad ones where nothing is compared with. `alternative` is the
    difference that a metric with a fixed alternative is made for. `weight` is its part of alpha.
    """

    name: str
    kind: Kind
    compare: Compare = Compare.BASELINE
    goal: Goal = Goal.NON_INFERIOR
    margin: float = 0.0
    limit: float | None = None
    alternative: float | None = None
    outcome: str = ""
    better: Better = Better.LOWER
    required: bool = True
    unit: Unit = Unit.BLOCK
    weight: float = 1.0

    @property
    def fail_at(self) -> float:
        """The version is bad when it is shown to be above this."""
        if self.limit is not None:
            return 1 - self.limit if self.better is Better.HIGHER else self.limit
        return self.margin if self.goal is Goal.NON_INFERIOR else -self.margin

    @property
    def pass_at(self) -> float:
        """The version is good when it is shown to be below this."""
        return self.fail_at if self.alternative is None else self.alternative

"""The routing policy as a value: what `document` reads and everything else works with.

Units inside: weights and shares are parts per 10,000, durations whole microseconds. What is
left out of a document has the value that stands here as the default: the breaker and the
rescue are on, everything else is off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from control_plane.domain.names import TWIN

SLOTS = 10_000
"""Weights are parts of this many slots: a percent with two decimals, exactly."""

MAX_ARMS = 64

MAX_VERSION = 999_999_999

OVERFLOW_TO_PRIMARY = ""
"""The default of `Arm.overflow`: whichever arm is the primary takes over; for itself, nobody."""

MILLISECOND = 1_000
SECOND = 1_000_000


class Source(StrEnum):
    """Where in a request a rule or a sticky key looks."""

    HEADER = "header"
    PARAMETER = "parameter"
    SEQUENCE = "sequence"


class Match(StrEnum):
    """How a rule compares what it finds."""

    EQUALS = "equals"
    IN = "in"
    PREFIX = "prefix"


class OnChange(StrEnum):
    """What becomes of live sequences on an arm that a new policy no longer has."""

    FINISH = "finish"
    CUT = "cut"


@dataclass(frozen=True)
class Allowance:
    """How much one arm may be tried, on each server; None is no bound.

    `until` is a moment in milliseconds since 1970 (UTC). `grant` is a line of text: another grants
    the same numbers anew. `servers` names those it is given to, others have nothing of it; None:
    each has it.
    """

    attempts: int | None = None
    failures: int | None = None
    until: int | None = None
    grant: str | None = None
    servers: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Arm:
    """One way a request can go: a model version, or a pipeline, with its share of the traffic.

    With `pipeline`, `model` and `version` are a pipeline's name and the number of its revision.
    `weight` is in parts per 10,000; exactly one arm of a policy is `primary`. `cost` is in
    whatever unit the arms share, `accuracy` within 0 and 1, `timeout` in microseconds.
    `overflow` names the arm that takes what is beyond `max_in_flight`: None refuses it.
    A `twin` is a second instance of what another arm serves, with a queue of its own: what a small
    arm is compared with, since a small share of the traffic makes smaller batches.
    `capacity` None is worked out from the serving profile, and `overrides` are laid over that.
    """

    name: str
    model: str
    version: int
    weight: int
    primary: bool = False
    cost: float = 0.0
    accuracy: float | None = None
    capacity: int | None = None
    max_in_flight: int | None = None
    overflow: str | None = OVERFLOW_TO_PRIMARY
    timeout: int | None = None
    allowance: Allowance | None = None
    pipeline: bool = False
    twin: bool = False
    overrides: Mapping[str, Any] | None = field(default=None, hash=False)

    def __str__(self) -> str:
        if self.twin:
            return f"the twin of {self.model} version {self.version}"
        if self.pipeline:
            return f"pipeline {self.model} revision {self.version}"
        return f"{self.model} version {self.version}"

    @property
    def key(self) -> tuple[str, int]:
        """Name and number: models and pipelines share one namespace."""
        return self.model, self.version

    @property
    def place(self) -> tuple[str, int]:
        """What its slots and its allowance are known by: its key, or that of the twin."""
        return (self.model + TWIN if self.twin else self.model), self.version

    @property
    def number_field(self) -> str:
        """The field of the document that says the number."""
        return "revision" if self.pipeline else "version"


@dataclass(frozen=True)
class Sticky:
    """What keeps a caller on one arm: the same key has the same slot.

    `name` is the header's (in lower case) or the parameter's, empty for a sequence. `salt`
    None is the endpoint's name.
    """

    source: Source
    name: str = ""
    salt: str | None = None

    def salt_at(self, endpoint: str) -> str:
        """The salt in force at that endpoint."""
        return endpoint if self.salt is None else self.salt


@dataclass(frozen=True)
class Condition:
    """One look at a request; `values` are texts, one alone unless `match` is IN."""

    source: Source
    name: str
    match: Match
    values: tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """Requests for which every condition holds go to the arm of that name."""

    arm: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Shadow:
    """A sampled copy to an arm; `compare` names the output held against the answer's."""

    arm: str
    parts: int
    max_in_flight: int = 8
    compare: str | None = None


class Scores(StrEnum):
    """What an output says of its classes: probabilities, or what a softmax makes them of."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"


@dataclass(frozen=True)
class Confidence:
    """The output of which it is counted how sure answers are; its last dimension are classes."""

    output: str
    scores: Scores = Scores.PROBABILITIES


@dataclass(frozen=True)
class Breaker:
    """When an arm gets no more requests for a while; 0 switches one of the two tests off."""

    consecutive_failures: int = 5
    failure_parts: int = 5_000
    min_requests: int = 20
    window: int = 10 * SECOND
    open: int = 30 * SECOND
    max_open: int = 300 * SECOND
    latency: int | None = None


@dataclass(frozen=True)
class SlowStart:
    """How an arm that comes new (or back) is led up to its share."""

    window: int = 30 * SECOND
    aggression: float = 1.0


@dataclass(frozen=True)
class Rescue:
    """What another arm failed is asked of the primary, within a budget of what is in flight."""

    enabled: bool = True
    budget_parts: int = 2_000
    floor: int = 3


@dataclass(frozen=True)
class Objective:
    """The weights of latency, cost, load and lost accuracy; `explore_parts` per 10,000."""

    alpha: float = 0.0
    beta: float = 0.0
    gamma: float = 0.0
    delta: float = 0.0
    explore_parts: int = 200


@dataclass(frozen=True)
class Sequences:
    """What a change means for live sequences, and when a silent one counts as over."""

    on_change: OnChange = OnChange.FINISH
    idle: int = 60 * SECOND


@dataclass(frozen=True)
class RoutingPolicy:
    """How the requests of one endpoint are shared out among its arms.

    With an `objective` the mode is adaptive; the arms with a weight are its candidates.
    """

    arms: tuple[Arm, ...]
    sticky: Sticky | None = None
    rules: tuple[Rule, ...] = ()
    shadows: tuple[Shadow, ...] = ()
    confidence: Confidence | None = None
    breaker: Breaker | None = Breaker()
    slow_start: SlowStart | None = None
    rescue: Rescue = Rescue()
    objective: Objective | None = None
    sequences: Sequences = Sequences()

    @property
    def primary(self) -> Arm:
        """The arm that requests fall back to."""
        return next(arm for arm in self.arms if arm.primary)

    @property
    def mode(self) -> str:
        """`weighted` or `adaptive`."""
        return "adaptive" if self.objective else "weighted"

    def index(self, name: str) -> int:
        """The place of the arm of that name; StopIteration where there is none."""
        return next(i for i, arm in enumerate(self.arms) if arm.name == name)

    def overflow_of(self, arm: Arm) -> str | None:
        """The name of the arm that takes what this one has no room for; None: it is refused."""
        if arm.overflow == OVERFLOW_TO_PRIMARY:
            return None if arm.primary else self.primary.name
        return arm.overflow


def percent(parts: int) -> int | float:
    """Parts per 10,000 as the percent that people wrote: 1050 -> 10.5, 1000 -> 10."""
    whole, rest = divmod(parts, 100)
    return whole if rest == 0 else parts / 100

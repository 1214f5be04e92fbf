"""What a rollout goes through: its steps, and the strategies that are made of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from control_plane.domain.routing.policy import Condition, percent

DEFAULT_TEMPLATE = "default"

SHADOW_TEMPLATE = "shadow"
"""What copies of requests are judged by unless something else is said."""


class Kind(StrEnum):
    """How a rollout goes about it."""

    CANARY = "canary"
    BLUE_GREEN = "blueGreen"
    PROGRESSIVE = "progressive"
    SHADOW_FIRST = "shadowFirst"


@dataclass(frozen=True)
class SetWeight:
    """The candidate gets so many parts per 10,000 of the requests that the primary had."""

    parts: int

    def __str__(self) -> str:
        return f"setWeight {percent(self.parts)} %"


@dataclass(frozen=True)
class Pause:
    """Rests for so many microseconds; None: until somebody says to go on."""

    duration: int | None = None

    def __str__(self) -> str:
        return "pause" if self.duration is None else f"pause {self.duration / 1_000_000:g} s"


@dataclass(frozen=True)
class Analysis:
    """Measures until every one of these templates has come to a verdict."""

    templates: tuple[str, ...] = (DEFAULT_TEMPLATE,)

    def __str__(self) -> str:
        return f"analysis {', '.join(self.templates)}"


@dataclass(frozen=True)
class Approval:
    """Waits until a person lets it go on."""

    def __str__(self) -> str:
        return "approval"


@dataclass(frozen=True)
class SetShadow:
    """Copies of so many parts per 10,000 of the requests go to the candidate; 0 ends it."""

    parts: int
    max_in_flight: int = 8
    compare: str | None = None

    def __str__(self) -> str:
        return f"setShadow {percent(self.parts)} %"


@dataclass(frozen=True)
class SetRule:
    """Requests for which all of this holds go to the candidate; without any it ends that."""

    conditions: tuple[Condition, ...] = ()

    def __str__(self) -> str:
        return "setRule" if self.conditions else "setRule off"


@dataclass(frozen=True)
class Ramp:
    """Measures all the while, and gives the candidate as much as the evidence allows.

    It begins at `first` and is done when every template has found it good and it has `most`, both
    in parts per 10,000: half leaves the baseline as much to be compared with.
    """

    templates: tuple[str, ...] = (DEFAULT_TEMPLATE,)
    first: int = 100
    most: int = 5_000

    def __str__(self) -> str:
        return f"ramp {percent(self.first)} to {percent(self.most)} %"


Step = SetWeight | Pause | Analysis | Approval | SetShadow | SetRule | Ramp


@dataclass(frozen=True)
class Strategy:
    """A kind with its steps; after the last one the candidate takes the primary's place.

    `watch` are the templates that go on measuring after that. With blueGreen there is no share of
    requests on either side: everything is switched at once.
    """

    kind: Kind
    steps: tuple[Step, ...]
    watch: tuple[str, ...] = (DEFAULT_TEMPLATE,)


DEFAULT_CANARY = (
    *(SetWeight(500), Analysis(), SetWeight(2_500), Analysis(), SetWeight(5_000), Analysis()),
)
"""What `nereid rollout start digits 2` goes through."""

BLUE_GREEN = (SetWeight(10_000),)

DEFAULT_COPIES = SetShadow(2_000)


def shadow_first(
    copies: SetShadow = DEFAULT_COPIES,
    templates: tuple[str, ...] = (SHADOW_TEMPLATE,),
    steps: tuple[Step, ...] = DEFAULT_CANARY,
) -> tuple[Step, ...]:
    """Copies alone until they are found good, then what `steps` say, without copies."""
    return (copies, Analysis(templates), SetShadow(0), *steps)


def with_compared(strategy: Strategy, output: str | None) -> Strategy:
    """The strategy with that output held against the answer's where it names none itself.

    It is for shadowFirst alone: whoever writes steps says what these compare.
    """
    if strategy.kind is not Kind.SHADOW_FIRST or output is None:
        return strategy
    first, *rest = strategy.steps
    if not isinstance(first, SetShadow) or first.compare is not None:
        return strategy
    return replace(strategy, steps=(replace(first, compare=output), *rest))


@dataclass(frozen=True)
class Split:
    """What is in force at a step: the candidate's share, its copies, and who is sent to it."""

    parts: int = 0
    shadow: SetShadow | None = None
    rule: SetRule | None = None


def split_at(steps: tuple[Step, ...], index: int) -> Split:
    """What the steps up to and with that one add up to.

    >>> split_at((SetWeight(500), Pause(), SetWeight(2_500)), 1).parts
    500
    """
    parts, shadow, rule = 0, None, None
    for step in steps[: index + 1]:
        if isinstance(step, SetWeight):
            parts = step.parts
        elif isinstance(step, Ramp):
            parts = step.most
        elif isinstance(step, SetShadow):
            shadow = step if step.parts else None
        elif isinstance(step, SetRule):
            rule = step if step.conditions else None
    return Split(parts, shadow, rule)

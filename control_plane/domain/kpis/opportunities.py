"""What would make an endpoint better served: found in its figures, ranked by what it is worth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

from control_plane.domain.kpis.report import ArmReport, ModelFigures, RequestFigures
from control_plane.domain.kpis.setting import Setting
from control_plane.domain.violations import ConflictError


class Effort(IntEnum):
    """What a change takes; ROI divides by it."""

    PROFILE = 1
    SERVER = 2
    CALLERS = 3


EFFORTS = {
    Effort.PROFILE: "a setting of how the version is served: applied while it serves",
    Effort.SERVER: "a setting of the server, which is started anew for it",
    Effort.CALLERS: "callers have to change",
}


@dataclass(frozen=True)
class Servers:
    """What the servers have, the least of them; None: not known."""

    cores: int | None = None
    cache: bool | None = None


@dataclass(frozen=True)
class Spot:
    """A model where time is spent: of an arm, or of a step of one.

    `rps` are the requests that a change of this model is for, whoever sends them. `version` is
    model and number where it is one that can be loaded by itself, `overrides` what its arm lays
    over how it is served. `narrowest` says that a pipeline can take no
    more than this step; `capacity_rps` how many requests a second that is.
    """

    endpoint: str
    arm: ArmReport
    step: str
    target: str
    physical: str
    model: ModelFigures
    parts: Mapping[str, float]
    setting: Setting
    version: tuple[str, int] | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    narrowest: bool = False
    capacity_rps: float | None = None

    @property
    def rps(self) -> float:
        return self.model.rps or 0.0

    @property
    def server_rps(self) -> float:
        """Requests a second that one server has of them, as its instances are of all there are."""
        everywhere = self.model.instances or 1
        return self.rps * min(1.0, (self.setting.instances or everywhere) / everywhere)

    @property
    def requests(self) -> RequestFigures:
        return self.arm.figures


@dataclass(frozen=True)
class Experiment:
    """The two perf runs that measure a change: as it is, and changed. Both are documents of perf
    runs without a server, under the same load."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]


@dataclass(frozen=True)
class Opportunity:
    """A change that would help, and what it is worth.

    `saves_us` of the `of_us` that a request takes is an estimate: `estimate` says how it was
    made. `overrides` are the change in the words of a serving profile, where it is one;
    `experiment` is what measures it, None where nothing can; `measure` a command that looks around
    it, too.
    """

    code: str
    arm: str
    step: str
    target: str
    detail: str
    change: str
    saves_us: float
    of_us: float
    rps: float
    effort: Effort
    estimate: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    measure: str = ""
    experiment: Experiment | None = None

    @property
    def roi(self) -> float:
        """ROI = (improvement * traffic) / effort [seconds of waiting saved each second].

        improvement = saved time of a request [s], traffic = requests a second, effort 1 to 3 (as
        `Effort` has them). By Little's law improvement * traffic is how many requests fewer are
        under way at any moment. Example: 2 ms of 100 requests a second, by a setting: 0.2.
        """
        return self.saves_us / 1e6 * self.rps / self.effort

    @property
    def effort_words(self) -> str:
        return EFFORTS[self.effort]


WORTH_US = 50.0
WORTH_SHARE = 0.05
"""Less than this of a request is not worth a change."""

WORTH_ATTENTION = 0.3
"""From this part of a request's time on somebody should look, if requests wait long enough."""

LEAST_REQUESTS = 100
"""Below this the figures say too little."""


def ranked(found: Iterator[Opportunity]) -> list[Opportunity]:
    """Those worth a change, the highest ROI first."""
    worth = [
        one for one in found if one.saves_us >= max(WORTH_US, WORTH_SHARE * one.of_us) and one.rps
    ]
    return sorted(worth, key=lambda one: (-one.roi, one.code, one.arm, one.step))


def finding_at(found: Iterable[Opportunity], code: str, arm: str, step: str) -> Opportunity:
    """The finding of that code at an arm, or at a step of it.

    Raises:
        ConflictError: there is none (any more): figures change with their span.
    """
    for one in found:
        if (one.code, one.arm, one.step) == (code, arm, step):
            return one
    where = f"{arm}, step {step}" if step else arm
    raise ConflictError(f"the figures of this span say nothing of {code} at {where}")


def narrowest(spots: list[Spot]) -> list[Spot]:
    """The steps of one arm, with what each can take, and the one that takes the least marked.

    capacity = requests a second of the pipeline / utilisation of the step: at 1 its instances
    never rest. Example: 60/s at 0.3 can be 200/s.
    """
    rps = spots[0].requests.rps if spots else None
    known = [
        replace(spot, capacity_rps=rps / spot.model.utilisation)
        if rps and spot.model.utilisation
        else spot
        for spot in spots
    ]
    least = min((s.capacity_rps for s in known if s.capacity_rps), default=None)
    many = sum(1 for spot in known if spot.capacity_rps) > 1
    return [
        replace(spot, narrowest=True) if many and spot.capacity_rps == least else spot
        for spot in known
    ]

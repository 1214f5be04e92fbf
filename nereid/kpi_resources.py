"""What the API answers about how well an endpoint is served, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nereid.resources import Document

Figures = Mapping[str, float | None]
"""Figures by the names that docs/kpis.md defines; None is not measured."""


@dataclass(frozen=True)
class StepKpis:
    """A step of a pipeline; `model` are the figures of the model that runs it, None: nothing asked
    it. `time` is its part of a request's mean time, in microseconds."""

    step: str
    target: str
    physical: str
    model: Figures | None
    time: Mapping[str, float]

    @classmethod
    def from_json(cls, raw: Document) -> StepKpis:
        return cls(
            step=str(raw["step"]),
            target=str(raw["target"]),
            physical=str(raw["physical"]),
            model=raw.get("model"),
            time=_time(raw),
        )


@dataclass(frozen=True)
class ArmKpis:
    """An arm; one that no policy names any more has no name. `share` is of all attempts, 0 to 1;
    `shared` says that others asked its model as well, and that they are in `model`."""

    name: str
    target: str
    physical: str
    primary: bool
    share: float | None
    shared: bool
    figures: Figures
    model: Figures | None
    time: Mapping[str, float]
    steps: tuple[StepKpis, ...]

    @classmethod
    def from_json(cls, raw: Document) -> ArmKpis:
        return cls(
            name=str(raw.get("name") or ""),
            target=str(raw.get("target") or ""),
            physical=str(raw["physical"]),
            primary=bool(raw.get("primary")),
            share=raw.get("share"),
            shared=bool(raw.get("shared")),
            figures=raw.get("figures") or {},
            model=raw.get("model"),
            time=_time(raw),
            steps=tuple(StepKpis.from_json(step) for step in raw.get("steps") or ()),
        )


@dataclass(frozen=True)
class FindingTry:
    """A finding that was measured by two perf runs, `before` and `after`: the mean time of a row as
    it is and changed, in microseconds; None: not yet. A `ratio` below 1 is a gain."""

    id: int
    state: str
    reason: str
    server: str
    before: int | None
    after: int | None
    before_us: float | None
    after_us: float | None
    ratio: float | None
    raw: Document = field(repr=False, compare=False)

    @property
    def over(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")

    @classmethod
    def from_json(cls, raw: Document) -> FindingTry:
        return cls(
            id=int(raw["id"]),
            state=str(raw["state"]),
            reason=str(raw.get("reason") or ""),
            server=str(raw.get("server") or ""),
            before=raw.get("before"),
            after=raw.get("after"),
            before_us=raw.get("before_us"),
            after_us=raw.get("after_us"),
            ratio=raw.get("ratio"),
            raw=raw,
        )


@dataclass(frozen=True)
class Opportunity:
    """A change that would help: `saves_us` of a request's `of_us`, by the estimate that it says.

    `roi` are seconds of waiting saved each second, divided by the effort (1 to 3). `overrides` are
    the change in the words of a serving profile. Where it `can_be_tried`, `try_finding` measures
    it, and `tried` is the newest time that somebody did; `measure` is a command that looks around
    it.
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
    effort: int
    effort_words: str
    roi: float
    estimate: str
    overrides: Document
    measure: str
    can_be_tried: bool = False
    tried: FindingTry | None = None

    @classmethod
    def from_json(cls, raw: Document) -> Opportunity:
        def text(key: str) -> str:
            return str(raw.get(key) or "")

        def number(key: str) -> float:
            return float(raw.get(key) or 0)

        return cls(
            code=text("code"),
            arm=text("arm"),
            step=text("step"),
            target=text("target"),
            detail=text("detail"),
            change=text("change"),
            saves_us=number("saves_us"),
            of_us=number("of_us"),
            rps=number("rps"),
            effort=int(number("effort")) or 1,
            effort_words=text("effort_words"),
            roi=number("roi"),
            estimate=text("estimate"),
            overrides=raw.get("overrides") or {},
            measure=text("measure"),
            can_be_tried=bool(raw.get("can_be_tried")),
            tried=FindingTry.from_json(raw["tried"]) if raw.get("tried") else None,
        )


@dataclass(frozen=True)
class EndpointKpis:
    """How well an endpoint was served; `figures` are what its callers got of all arms, `findings`
    what would help, the highest ROI first."""

    endpoint: str
    since: str
    until: str
    measured_seconds: float
    figures: Figures
    time: Mapping[str, float]
    network: Document | None
    arms: tuple[ArmKpis, ...]
    findings: tuple[Opportunity, ...]
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> EndpointKpis:
        return cls(
            endpoint=str(raw["endpoint"]),
            since=str(raw["since"]),
            until=str(raw["until"]),
            measured_seconds=float(raw.get("measured_seconds") or 0),
            figures=raw.get("figures") or {},
            time=_time(raw),
            network=raw.get("network"),
            arms=tuple(ArmKpis.from_json(arm) for arm in raw.get("arms") or ()),
            findings=tuple(Opportunity.from_json(one) for one in raw.get("findings") or ()),
            raw=raw,
        )


def _time(raw: Document) -> dict[str, float]:
    parts: Any = raw.get("time") or ()
    return {str(part["name"]): float(part["us"]) for part in parts}

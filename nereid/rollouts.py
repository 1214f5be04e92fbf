"""Rollouts, their evidence, and the templates they measure by, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

RolloutState = Literal[
    "pending",
    "preparing",
    "progressing",
    "paused",
    "analysing",
    "awaitingApproval",
    "promoting",
    "promoted",
    "rollingBack",
    "rolledBack",
    "aborted",
    "failed",
    "inconclusive",
]
Control = Literal["approve", "promote", "skip", "pause", "resume", "abort", "retry"]
Document = Mapping[str, Any]

_TAKEN_BACK = ("rolledBack", "aborted", "failed")


@dataclass(frozen=True)
class Tally:
    """One arm since a run began: `count` of `of`, and the share (or latency) that makes."""

    of: int
    count: int
    estimate: float | None

    @classmethod
    def from_json(cls, raw: Document) -> Tally:
        return cls(int(raw.get("of") or 0), int(raw.get("count") or 0), raw.get("estimate"))


@dataclass(frozen=True)
class MetricLook:
    """One metric at one look: its confidence bounds, and the limit they close in on."""

    name: str
    kind: str
    phase: str
    reason: str
    required: bool
    compare: str
    better: str
    unit: str
    scale: str
    candidate: Tally
    baseline: Tally
    estimate: float | None
    lower: float | None
    upper: float | None
    limit: float
    statistic: float
    needed: float

    @classmethod
    def from_json(cls, raw: Document) -> MetricLook:
        def text(key: str) -> str:
            return str(raw.get(key) or "")

        return cls(
            name=text("name"),
            kind=text("kind"),
            phase=text("phase"),
            reason=text("reason"),
            required=bool(raw.get("required", True)),
            compare=text("compare"),
            better=text("better"),
            unit=text("unit"),
            scale=text("scale"),
            candidate=Tally.from_json(raw.get("candidate") or {}),
            baseline=Tally.from_json(raw.get("baseline") or {}),
            estimate=raw.get("estimate"),
            lower=raw.get("lower"),
            upper=raw.get("upper"),
            limit=float(raw.get("limit") or 0),
            statistic=float(raw.get("statistic") or 0),
            needed=float(raw.get("needed") or 0),
        )


@dataclass(frozen=True)
class Look:
    """All metrics of a run at one look."""

    number: int
    at: str
    phase: str
    reason: str
    seconds: float
    metrics: tuple[MetricLook, ...]
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Look:
        return cls(
            number=int(raw.get("number") or 0),
            at=str(raw.get("at") or ""),
            phase=str(raw.get("phase") or ""),
            reason=str(raw.get("reason") or ""),
            seconds=float(raw.get("seconds") or 0),
            metrics=tuple(MetricLook.from_json(one) for one in raw.get("metrics") or ()),
            raw=raw,
        )


@dataclass(frozen=True)
class AnalysisRun:
    """One measurement of a candidate against a baseline; `look` is the newest, None before it."""

    id: str
    endpoint: str
    template: str
    candidate: str
    baseline: str
    dry_run: bool
    phase: str
    reason: str
    looks: int
    look: Look | None
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document, look: Document | None = None) -> AnalysisRun:
        newest = look or raw.get("look")
        return cls(
            id=str(raw["id"]),
            endpoint=str(raw.get("endpoint") or ""),
            template=str(raw.get("template") or ""),
            candidate=str(raw.get("candidate") or ""),
            baseline=str(raw.get("baseline") or ""),
            dry_run=bool(raw.get("dry_run")),
            phase=str(raw.get("phase") or ""),
            reason=str(raw.get("reason") or ""),
            looks=int(raw.get("looks") or 0),
            look=Look.from_json(newest) if newest else None,
            raw=raw,
        )


@dataclass(frozen=True)
class RolloutRun:
    """A run of a rollout; `step` is the number of steps where it watches what was promoted."""

    step: int
    attempt: int
    run: AnalysisRun

    @classmethod
    def from_json(cls, raw: Document) -> RolloutRun:
        return cls(
            step=int(raw.get("step") or 0),
            attempt=int(raw.get("attempt") or 1),
            run=AnalysisRun.from_json(raw["run"], raw.get("look")),
        )


@dataclass(frozen=True)
class RolloutStep:
    """One step, in words; `standing` is done, current, stopped or ahead."""

    text: str
    standing: str


@dataclass(frozen=True)
class Rollout:
    """A rollout where it stands; lists come without steps, runs and controls."""

    id: str
    endpoint: str
    number: int
    document: Document  # what was asked for, as it may be sent again
    state: RolloutState
    active: bool  # under way: also one that is promoted, while it is watched
    reason: str
    since: str
    step: int
    share: float | None  # the candidate's percent of the requests; None: it has not begun
    harm_budget: int
    harm_spent: int
    attempt: int
    held_by: str
    pause_until: str
    watch_until: str
    started_by: str
    approved_by: str
    why: str
    created_at: str
    finished_at: str
    steps: tuple[RolloutStep, ...]
    runs: tuple[RolloutRun, ...]
    controls: Mapping[Control, str]  # each control, and why it cannot be used now; empty: it can
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> Rollout:
        harm = raw.get("harm") or {}

        def text(key: str) -> str:
            return str(raw.get(key) or "")

        return cls(
            id=str(raw["id"]),
            endpoint=str(raw["endpoint"]),
            number=int(raw["number"]),
            document=dict(raw.get("document") or {}),
            state=raw["state"],
            active=bool(raw.get("active")),
            reason=" ".join(text("reason").split()),
            since=text("since"),
            step=int(raw.get("step") or 0),
            share=raw.get("share"),
            harm_budget=int(harm.get("budget") or 0),
            harm_spent=int(harm.get("spent") or 0),
            attempt=int(raw.get("attempt") or 1),
            held_by=text("held_by"),
            pause_until=text("pause_until"),
            watch_until=text("watch_until"),
            started_by=text("started_by"),
            approved_by=text("approved_by"),
            why=text("why"),
            created_at=text("created_at"),
            finished_at=text("finished_at"),
            steps=tuple(
                RolloutStep(str(step.get("text") or ""), str(step.get("standing") or ""))
                for step in raw.get("steps") or ()
            ),
            runs=tuple(RolloutRun.from_json(one) for one in raw.get("runs") or ()),
            controls=dict(raw.get("controls") or {}),
            raw=raw,
        )

    @property
    def target(self) -> str:
        """What it brings: ``digits:2``."""
        to = self.document.get("to") or {}
        name, number = to.get("model") or to.get("pipeline"), to.get("version", to.get("revision"))
        return f"{name}:{number}"

    @property
    def taken_back(self) -> bool:
        """Whether it ended without being promoted."""
        return self.state in _TAKEN_BACK

    @property
    def promoted(self) -> bool:
        return self.state == "promoted"

    @property
    def waits_for_someone(self) -> bool:
        """Whether it goes on only when a person says so."""
        if self.state == "paused":
            return not self.pause_until
        return self.state in ("awaitingApproval", "inconclusive")


@dataclass(frozen=True)
class RolloutEvent:
    """One thing that happened to a rollout."""

    number: int
    at: str
    event: str
    state_before: str
    state_after: str
    step: int
    reason: str
    actor: str

    @classmethod
    def from_json(cls, raw: Document) -> RolloutEvent:
        def text(key: str) -> str:
            return str(raw.get(key) or "")

        return cls(
            number=int(raw["number"]),
            at=text("at"),
            event=text("event"),
            state_before=text("state_before"),
            state_after=text("state_after"),
            step=int(raw.get("step") or 0),
            reason=text("reason"),
            actor=text("actor"),
        )


@dataclass(frozen=True)
class AnalysisTemplate:
    """What rollouts measure; `revision` None: it comes with Nereid.

    `etag` is what a later change must present; empty in a list.
    """

    name: str
    built_in: bool
    revision: int | None
    document: Document
    changed_at: str
    changed_by: str
    etag: str
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document, etag: str = "") -> AnalysisTemplate:
        return cls(
            name=str(raw["name"]),
            built_in=bool(raw.get("built_in")),
            revision=raw.get("revision"),
            document=raw.get("document") or {},
            changed_at=str(raw.get("changed_at") or ""),
            changed_by=str(raw.get("changed_by") or ""),
            etag=etag,
            raw=raw,
        )

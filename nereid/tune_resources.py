"""What the API answers about tunes, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nereid.perf_resources import OVER, PerfLevel
from nereid.resources import Document


@dataclass(frozen=True)
class TunePoint:
    """A configuration under one load, the mean of all that was measured of it.

    `latency_us` is at the request's percentile; `within` it is within the limit, or keeps up with
    the rate.
    """

    said: str
    load: float
    throughput: float
    latency_us: float
    instances: int
    within: bool
    times: int
    trials: tuple[int, ...]
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> TunePoint:
        return cls(
            said=str(raw.get("said") or ""),
            load=float(raw.get("load") or 0),
            throughput=float(raw.get("throughput") or 0),
            latency_us=float(raw.get("latency_us") or 0),
            instances=int(raw.get("instances") or 0),
            within=bool(raw.get("within")),
            times=int(raw.get("times") or 0),
            trials=tuple(int(one) for one in raw.get("trials") or ()),
            raw=raw,
        )


@dataclass(frozen=True)
class TuneTrial:
    """One configuration that was tried, why, and what it measured."""

    number: int
    kind: str  # baseline, calibration, seed, search, confirmation
    state: str
    reason: str
    why: str
    said: str
    loads: tuple[float, ...]
    run: int | None
    levels: tuple[PerfLevel, ...]
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> TuneTrial:
        def text(key: str) -> str:
            return str(raw.get(key) or "")

        return cls(
            number=int(raw["number"]),
            kind=text("kind"),
            state=text("state"),
            reason=text("reason"),
            why=text("why"),
            said=text("said"),
            loads=tuple(float(one) for one in raw.get("loads") or ()),
            run=raw.get("run"),
            levels=tuple(PerfLevel.from_json(one) for one in raw.get("levels") or ()),
            raw=raw,
        )


@dataclass(frozen=True)
class TuneResult:
    """What is chosen: `overrides` and `profile` say it, `diff` shows it, `front` is the evidence.

    `gain` is percent more throughput, or less latency, than how it is served now.
    """

    chosen: TunePoint | None
    present: TunePoint | None
    gain: float | None
    changes: tuple[tuple[str, str, str], ...]  # what, before, after
    overrides: Mapping[str, Any]
    profile: Mapping[str, Any]
    diff: str
    front: tuple[TunePoint, ...]
    remarks: tuple[str, ...]
    measurements: int
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> TuneResult:
        return cls(
            chosen=TunePoint.from_json(raw["chosen"]) if raw.get("chosen") else None,
            present=TunePoint.from_json(raw["present"]) if raw.get("present") else None,
            gain=raw.get("gain"),
            changes=tuple(
                (str(one["what"]), str(one["before"]), str(one["after"]))
                for one in raw.get("changes") or ()
            ),
            overrides=raw.get("overrides") or {},
            profile=raw.get("profile") or {},
            diff=str(raw.get("diff") or ""),
            front=tuple(TunePoint.from_json(one) for one in raw.get("front") or ()),
            remarks=tuple(str(one) for one in raw.get("remarks") or ()),
            measurements=int(raw.get("measurements") or 0),
            raw=raw,
        )


@dataclass(frozen=True)
class Tune:
    """A search for the best serving configuration; `trials` is empty in a list."""

    id: int
    state: str
    reason: str
    target: str  # digits:3
    name: str
    number: int
    server: str
    objective: str
    request: Document
    result: TuneResult | None
    trials: tuple[TuneTrial, ...]
    asked_by: str
    created_at: str
    started_at: str
    finished_at: str
    raw: Document = field(repr=False, compare=False)

    @property
    def over(self) -> bool:
        return self.state in OVER

    @property
    def load_kind(self) -> str:
        """What its trials' loads are numbers of."""
        return "request_rate" if self.objective == "latency" else "concurrency"

    @classmethod
    def from_json(cls, raw: Document) -> Tune:
        def text(key: str) -> str:
            return str(raw.get(key) or "")

        return cls(
            id=int(raw["id"]),
            state=text("state"),
            reason=text("reason"),
            target=text("target"),
            name=text("name"),
            number=int(raw.get("number") or 0),
            server=text("server"),
            objective=text("objective"),
            request=raw.get("request") or {},
            result=TuneResult.from_json(raw["result"]) if raw.get("result") else None,
            trials=tuple(TuneTrial.from_json(one) for one in raw.get("trials") or ()),
            asked_by=text("asked_by"),
            created_at=text("created_at"),
            started_at=text("started_at"),
            finished_at=text("finished_at"),
            raw=raw,
        )

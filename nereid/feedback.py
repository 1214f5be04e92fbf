"""What callers say of answers, and what became of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Document = Mapping[str, Any]


@dataclass(frozen=True)
class FeedbackTaken:
    """Reports counted for their arm, waiting until a server names it, and known before."""

    counted: int
    waiting: int
    repeated: int

    @classmethod
    def from_json(cls, raw: Document) -> FeedbackTaken:
        return cls(int(raw["counted"]), int(raw["waiting"]), int(raw["repeated"]))

    def __add__(self, other: FeedbackTaken) -> FeedbackTaken:
        return FeedbackTaken(
            self.counted + other.counted,
            self.waiting + other.waiting,
            self.repeated + other.repeated,
        )


@dataclass(frozen=True)
class FeedbackCount:
    """Of `of` answers of an arm that were judged, `count` had the outcome."""

    arm: str
    outcome: str
    count: int
    of: int

    @classmethod
    def from_json(cls, raw: Document) -> FeedbackCount:
        return cls(str(raw["arm"]), str(raw["outcome"]), int(raw["count"]), int(raw["of"]))


@dataclass(frozen=True)
class FeedbackSummary:
    """What was said of an endpoint's answers since a moment.

    `unresolved` reports are of requests that no server knew: they count for no arm.
    """

    counts: tuple[FeedbackCount, ...]
    waiting: int
    unresolved: int
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> FeedbackSummary:
        counts = tuple(FeedbackCount.from_json(each) for each in raw.get("results") or ())
        return cls(counts, int(raw["waiting"]), int(raw["unresolved"]), raw)

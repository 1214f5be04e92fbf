"""What the API answers about perf runs, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nereid.resources import Document

OVER = frozenset({"succeeded", "failed", "cancelled"})
PARTS = (
    "queue_us",
    "compute_input_us",
    "compute_infer_us",
    "compute_output_us",
    "network_us",
    "client_us",
    "rest_us",
)
"""What a request's mean time is made of."""


@dataclass(frozen=True)
class PerfLevel:
    """One level of load, measured: latencies in microseconds, throughput in inferences a second.

    `value` is of the run's kind of load: callers, requests a second, or rows of a request.
    """

    value: float
    requests: int
    throughput: float
    mean_us: float
    p50_us: float
    p90_us: float
    p95_us: float
    p99_us: float
    parts_us: Mapping[str, float]
    spread: float  # between its windows, percent
    delayed: float  # of its requests, percent
    batch: float | None
    cpu: float | None
    gpu: float | None
    raw: Document = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Document) -> PerfLevel:
        def number(key: str) -> float:
            return float(raw.get(key) or 0)

        return cls(
            value=number("value"),
            requests=int(number("requests")),
            throughput=number("throughput"),
            mean_us=number("mean_us"),
            p50_us=number("p50_us"),
            p90_us=number("p90_us"),
            p95_us=number("p95_us"),
            p99_us=number("p99_us"),
            parts_us={name.removesuffix("_us"): number(name) for name in PARTS},
            spread=number("spread"),
            delayed=number("delayed"),
            batch=_optional(raw.get("batch")),
            cpu=_optional(raw.get("cpu")),
            gpu=_optional(raw.get("gpu")),
            raw=raw,
        )


@dataclass(frozen=True)
class PerfRun:
    """A perf run; `levels` is empty in a list, where `peak` says most of it."""

    id: int
    state: str
    reason: str
    target: str  # digits:3, or an endpoint's name
    physical: str
    server: str
    request: Document
    progress: Document
    peak: PerfLevel | None
    levels: tuple[PerfLevel, ...]
    files: tuple[str, ...]
    asked_by: str
    accepted_by: str  # empty: nobody did
    created_at: str
    started_at: str
    finished_at: str
    raw: Document = field(repr=False, compare=False)

    @property
    def over(self) -> bool:
        return self.state in OVER

    @property
    def kind(self) -> str:
        """What its levels are a number of."""
        kinds = ("request_rate", "intervals", "batch_sizes")
        return next((kind for kind in kinds if self.request.get(kind)), "concurrency")

    @classmethod
    def from_json(cls, raw: Document) -> PerfRun:
        def text(key: str) -> str:
            return str(raw.get(key) or "")

        return cls(
            id=int(raw["id"]),
            state=text("state"),
            reason=text("reason"),
            target=text("target"),
            physical=text("physical"),
            server=text("server"),
            request=raw.get("request") or {},
            progress=raw.get("progress") or {},
            peak=PerfLevel.from_json(raw["peak"]) if raw.get("peak") else None,
            levels=tuple(PerfLevel.from_json(one) for one in raw.get("levels") or ()),
            files=tuple(str(one) for one in raw.get("files") or ()),
            asked_by=text("asked_by"),
            accepted_by=text("accepted_by"),
            created_at=text("created_at"),
            started_at=text("started_at"),
            finished_at=text("finished_at"),
            raw=raw,
        )


def _optional(value: Any) -> float | None:
    return None if value is None else float(value)

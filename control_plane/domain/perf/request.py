"""What a perf run asks for, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from control_plane.domain.routing.fields import duration_text
from control_plane.domain.routing.policy import SECOND


class Protocol(StrEnum):
    """How the requests travel."""

    GRPC = "grpc"
    HTTP = "http"


class Input(StrEnum):
    """What is sent: golden examples, what callers sent once, random values, or zeros."""

    GOLDEN = "golden"
    RECORDING = "recording"
    RANDOM = "random"
    ZERO = "zero"


class SharedMemory(StrEnum):
    """Where tensors lie: in the requests, or in memory that the server reads too."""

    NONE = "none"
    SYSTEM = "system"
    CUDA = "cuda"


class Distribution(StrEnum):
    """The times between requests at a given rate: all the same, or those of a Poisson process."""

    CONSTANT = "constant"
    POISSON = "poisson"


class LoadKind(StrEnum):
    """What a level of load is a number of: callers, requests a second, or rows of the requests of
    one caller."""

    CONCURRENCY = "concurrency"
    REQUEST_RATE = "request_rate"
    INTERVALS = "intervals"
    BATCH_SIZES = "batch_sizes"


class TargetKind(StrEnum):
    """What is measured."""

    VERSION = "version"
    PIPELINE = "pipeline"
    ENDPOINT = "endpoint"


QUANTILES = (50, 90, 95, 99)
"""The percentiles that every level has."""


@dataclass(frozen=True)
class Target:
    """A version, a pipeline's revision, or an endpoint (which has no number)."""

    kind: TargetKind
    name: str
    number: int | None = None

    def __str__(self) -> str:
        return self.name if self.number is None else f"{self.name}:{self.number}"

    def to_document(self) -> dict[str, Any]:
        """The JSON form, as it is asked for."""
        if self.kind is TargetKind.ENDPOINT:
            return {"endpoint": self.name}
        if self.kind is TargetKind.PIPELINE:
            return {"pipeline": self.name, "revision": self.number}
        return {"model": self.name, "version": self.number}


@dataclass(frozen=True)
class Span:
    """Levels from `low` to `high`: by `step`, or halved again and again down to it."""

    low: float
    high: float
    step: float
    search: bool = False


@dataclass(frozen=True)
class Load:
    """The levels of a run: listed in `values`, in a `span`, or one of given `intervals` (us)."""

    kind: LoadKind
    values: tuple[float, ...] = ()
    span: Span | None = None
    intervals: tuple[int, ...] = ()
    distribution: Distribution = Distribution.CONSTANT

    @property
    def searches(self) -> bool:
        return self.span is not None and self.span.search


@dataclass(frozen=True)
class Sequences:
    """Requests that belong together: so many in one, so many at a time (with a request rate)."""

    length: int = 20
    variation: float = 20.0
    concurrent: int = 4


@dataclass(frozen=True)
class PerfRequest:
    """What is measured, and how; durations in microseconds.

    `input` None takes golden examples where there are any, and random values elsewhere; `recording`
    names the one that is sent.
    `latency_limit` is for the latency at `percentile`: no level above it is gone beyond.
    `overrides` are laid over how a version is served, for this run alone.
    """

    target: Target
    server: str
    load: Load
    protocol: Protocol = Protocol.GRPC
    input: Input | None = None
    recording: str = ""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    string_length: int = 128
    batch: int = 1
    latency_limit: int | None = None
    percentile: int = 99
    window: int = 2 * SECOND
    streaming: bool = False
    shared_memory: SharedMemory = SharedMemory.NONE
    sequences: Sequences | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def input_word(self) -> str | None:
        """The input as it is asked for: `golden`, or `recording:NAME`."""
        if self.input is Input.RECORDING:
            return f"{self.input.value}:{self.recording}"
        return None if self.input is None else self.input.value

    def to_document(self) -> dict[str, Any]:
        """The JSON form, with what was left out filled in."""
        document: dict[str, Any] = {
            "target": self.target.to_document(),
            "server": self.server,
            "protocol": self.protocol.value,
            **_load_document(self.load),
            "input": self.input_word,
            "batch": self.batch,
            "latency_limit": _duration(self.latency_limit),
            "percentile": self.percentile,
            "window": duration_text(self.window),
            "streaming": self.streaming,
            "shared_memory": self.shared_memory.value,
        }
        if self.shapes:
            document["shapes"] = {name: list(shape) for name, shape in self.shapes.items()}
        if self.string_length != PerfRequest.string_length:
            document["string_length"] = self.string_length
        if self.sequences:
            document["sequences"] = {
                "length": self.sequences.length,
                "variation": self.sequences.variation,
                "concurrent": self.sequences.concurrent,
            }
        if self.overrides:
            document["overrides"] = dict(self.overrides)
        return document


def _duration(microseconds: int | None) -> str | None:
    return None if microseconds is None else duration_text(microseconds)


def _load_document(load: Load) -> dict[str, Any]:
    if load.kind is LoadKind.INTERVALS:
        return {"intervals": [duration_text(one) for one in load.intervals]}
    shown: Any
    if load.span:
        span = load.span
        shown = {"from": _plain(span.low), "to": _plain(span.high), "step": _plain(span.step)}
        shown |= {"search": True} if span.search else {}
    else:
        shown = [_plain(value) for value in load.values]
    document: dict[str, Any] = {load.kind.value: shown}
    if load.kind is LoadKind.REQUEST_RATE:
        document["distribution"] = load.distribution.value
    return document


def _plain(value: float) -> float:
    return int(value) if value == int(value) else value

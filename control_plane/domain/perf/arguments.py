"""A perf run's request -> the arguments of perf_analyzer for one level of its load.

One process measures one level: so levels may be any list, each has its own deadline, a hang costs
one level, and what was measured is kept whatever becomes of the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from control_plane.domain.perf.request import (
    Input,
    LoadKind,
    PerfRequest,
    Protocol,
    SharedMemory,
)
from control_plane.domain.routing.policy import MILLISECOND, SECOND

WINDOWS = 3
"""perf_analyzer's fewest: it merges that many."""

_ANY_SPREAD = "1000000"
"""Percent. What spreads more than it is told to allow leaves perf_analyzer without a result, so it
is told to allow anything, and the spread is read from its windows (`export.spread_of`)."""

_MANY_CALLERS = 16
"""From here on callers share threads, as on a small machine they must."""

FROM_FILE = (Input.GOLDEN, Input.RECORDING)

_GRACE_S = 30.0


@dataclass(frozen=True)
class Place:
    """Where requests go, and where files lie.

    `headers` open what is restricted on the server; empty where nothing is.
    """

    model: str
    address: str
    csv: str
    export: str
    input_file: str = ""
    intervals_file: str = ""
    headers: Mapping[str, str] | None = None


def arguments(request: PerfRequest, value: float, place: Place) -> list[str]:
    """The command line without the program's name, of a request whose input was decided on."""
    window_ms = max(1, request.window // MILLISECOND)
    words = ["-m", place.model, "-u", place.address, "-i", request.protocol.value]
    by_batch = request.load.kind is LoadKind.BATCH_SIZES
    rows = int(value) if by_batch else request.batch
    words += [*_load(request, value, place), "-b", str(rows)]
    words += ["-p", str(window_ms), "-s", _ANY_SPREAD, "-r", str(WINDOWS)]
    words += ["-f", place.csv, "--verbose-csv", "--profile-export-file", place.export, "-v"]
    words += _input(request, place)
    if request.streaming:
        words += ["--streaming"]
    if request.shared_memory is not SharedMemory.NONE:
        words += ["--shared-memory", request.shared_memory.value]
    if request.sequences:
        words += ["--sequence-length", str(request.sequences.length)]
        if request.input is not Input.GOLDEN:
            words += ["--sequence-length-variation", f"{request.sequences.variation:g}"]
        if request.load.kind is LoadKind.REQUEST_RATE:
            words += ["--num-of-sequences", str(request.sequences.concurrent)]
    for name, key in (place.headers or {}).items():
        words += ["-H", f"{name}:{key}"]
    return words


def deadline_s(request: PerfRequest) -> float:
    """How long one level may take before perf_analyzer counts as hung, in seconds.

    Its windows, one more for warming up, and half a minute for starting and ending.

    >>> from control_plane.domain.perf.request import Load, Target, TargetKind
    >>> one = Load(LoadKind.CONCURRENCY, (1.0,))
    >>> deadline_s(PerfRequest(Target(TargetKind.ENDPOINT, "digits"), "lab-1", one))
    38.0
    """
    return (WINDOWS + 1) * request.window / SECOND + _GRACE_S


def _load(request: PerfRequest, value: float, place: Place) -> list[str]:
    load = request.load
    if load.kind is LoadKind.INTERVALS:
        return ["--request-intervals", place.intervals_file]
    if load.kind is LoadKind.REQUEST_RATE:
        distribution = load.distribution.value
        return ["--request-rate-range", f"{value:.6g}", "--request-distribution", distribution]
    if load.kind is LoadKind.BATCH_SIZES:
        return ["--concurrency-range", "1"]
    words = ["--concurrency-range", str(int(value))]
    if value > _MANY_CALLERS and request.protocol is Protocol.GRPC and not request.sequences:
        words += ["--async"]
    return words


def _input(request: PerfRequest, place: Place) -> list[str]:
    if request.input in FROM_FILE:
        return ["--input-data", place.input_file]
    words = ["--input-data", "zero" if request.input is Input.ZERO else "random"]
    for name, shape in request.shapes.items():
        words += ["--shape", f"{name}:{','.join(map(str, shape))}"]
    return [*words, "--string-length", str(request.string_length)]

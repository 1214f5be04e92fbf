"""Stand-ins for the ports, for tests of pure decisions; each passes its port's contract tests."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

from control_plane.domain.perf.export import Measurement
from control_plane.domain.perf.request import PerfRequest
from control_plane.domain.registry.states import Place
from control_plane.domain.tuning import searching
from control_plane.domain.tuning.request import TuneRequest
from control_plane.domain.tuning.space import Space
from control_plane.domain.tuning.study import Point
from control_plane.ports.inference import (
    InferenceAnswer,
    InferenceRefusedError,
    NoAnswerError,
    Scalar,
    TensorData,
)
from control_plane.ports.load import Aim, LoadStoppedError, Measured
from control_plane.ports.recorder import Recorded, RecordingAsk
from control_plane.ports.triton import (
    HeldModel,
    Sample,
    TritonError,
    TritonUnreachableError,
)


class FakeClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def pass_time(self, **span: float) -> None:
        self._now += timedelta(**span)


class FakeWorkers:
    """Workers that answer: those of every queue it was told of."""

    def __init__(self, queues: Mapping[str, Sequence[str]] | None = None) -> None:
        self.queues = dict(queues or {})

    def by_queue(self) -> Mapping[str, Sequence[str]]:
        return self.queues


class FakeQueue:
    """Keeps what was sent; `commands` holds (server, verb, generation)."""

    def __init__(self) -> None:
        self.reconciles: list[UUID] = []
        self.scrapes: list[str] = []
        self.validations: list[UUID] = []
        self.fetches: list[UUID] = []
        self.deliveries: list[UUID] = []
        self.commands: list[tuple[str, str, int]] = []
        self.perf_runs: list[int] = []
        self.tunes: list[int] = []
        self.recordings: list[int] = []
        self.perf_commands: list[tuple[str, str, int]] = []

    def reconcile(self, *, endpoint_id: UUID) -> None:
        self.reconciles.append(endpoint_id)

    def scrape(self, *, server: str) -> None:
        self.scrapes.append(server)

    def validate(self, *, version_id: UUID) -> None:
        self.validations.append(version_id)

    def fetch(self, *, version_id: UUID) -> None:
        self.fetches.append(version_id)

    def deliver(self, *, webhook_id: UUID) -> None:
        self.deliveries.append(webhook_id)

    def perf_run(self, *, run_id: int) -> None:
        self.perf_runs.append(run_id)

    def tune(self, *, tune_id: int) -> None:
        self.tunes.append(tune_id)

    def recording(self, *, server: str, recording_id: int, key: str) -> None:
        self.recordings.append(recording_id)

    def perf_command(self, *, server: str, verb: str, run_id: int) -> None:
        self.perf_commands.append((server, verb, run_id))

    def command(self, *, server: str, verb: str, endpoint_id: UUID, generation: int) -> None:
        self.commands.append((server, verb, generation))


class FakeSearcher:
    """Proposes a few places of the space, spread evenly, whatever was measured."""

    def propose(
        self, request: TuneRequest, space: Space, points: Sequence[Point]
    ) -> Sequence[searching.Place]:
        every = [(one, load) for one in space.candidates() for load in request.loads]
        return every[len(points) % 7 :: max(1, len(every) // 8)]


class FakeLoad:
    """A load generator of a server that answers in a millisecond, whatever the load.

    `fails` are raised by the next measurements, one each; `meanwhile` is called during each;
    `measured` holds (model, value), `sent` what was sent last.
    """

    def __init__(self) -> None:
        self.measured: list[tuple[str, float]] = []
        self.fails: list[Exception] = []
        self.sent = ""
        self.files = {"report.csv": b"packed"}
        self.meanwhile: Callable[[PerfRequest], None] = lambda _: None

    def provide(self) -> str:
        return "in memory"

    def measure(
        self, request: PerfRequest, value: float, aim: Aim, *, goes_on: Callable[[], bool]
    ) -> Measured:
        if self.fails:
            raise self.fails.pop(0)
        self.meanwhile(request)
        if not goes_on():
            raise LoadStoppedError("it was stopped")
        self.measured.append((aim.model, value))
        self.sent = aim.input_data
        figures = Measurement(
            requests=100,
            throughput=1000 * value,
            mean_us=1000,
            p50_us=900,
            p90_us=1200,
            p95_us=1300,
            p99_us=1500,
            queue_us=100,
            compute_input_us=20,
            compute_infer_us=600,
            compute_output_us=30,
            network_us=200,
            client_us=10,
            spread=3,
        )
        return Measured(figures, dict(self.files))


class FakePlaces:
    """Says where versions serve as it was told; `earlier` holds the ways back."""

    def __init__(self) -> None:
        self.places: dict[UUID, list[Place]] = {}
        self.ways_back: dict[UUID, dict[str, list[int]]] = {}

    def of(self, version_ids: Iterable[UUID]) -> dict[UUID, list[Place]]:
        return {v: self.places[v] for v in version_ids if self.places.get(v)}

    def of_pipelines(self, revision_ids: Iterable[UUID]) -> dict[UUID, list[Place]]:
        return self.of(revision_ids)

    def earlier(self, version_id: UUID) -> dict[str, list[int]]:
        return self.ways_back.get(version_id, {})


class FakeTriton:
    """A Triton in memory over a real repository directory.

    `refuse(name)` makes loads of a model fail, `crash()` ends it with everything it held,
    `answers` is what every model says; `occupy(name)` keeps a request in flight, or with a gauge
    of that name what it counts.
    """

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._loaded: dict[str, Mapping[str, Any]] = {}
        self._refused: set[str] = set()
        self._let_go: set[str] = set()
        self._busy: dict[str, tuple[str, str]] = {}
        self.running = True
        self.loads: list[str] = []
        self.asked: list[tuple[str, tuple[TensorData, ...]]] = []
        self.answers: list[TensorData] = []
        self.on_load: Callable[[str], None] = lambda _: None

    def refuse(self, name: str) -> None:
        self._refused.add(name)

    def accept(self, name: str) -> None:
        self._refused.discard(name)

    def occupy(
        self, name: str, gauge: str = "nereid_inflight_requests", endpoint: str = "e"
    ) -> None:
        self._busy[name] = (gauge, endpoint)

    def release(self, name: str) -> None:
        self._busy.pop(name, None)

    def crash(self) -> None:
        self._loaded.clear()
        self._let_go.clear()

    def is_live(self) -> bool:
        return self.running

    def load(self, name: str) -> None:
        self._answer()
        self.on_load(name)
        config = self._repository / name / "config.pbtxt"
        if name in self._refused or not config.is_file():
            raise TritonError(f"failed to load '{name}'")
        message = text_format.Parse(config.read_text(), model_config_pb2.ModelConfig())
        self._loaded[name] = json_format.MessageToDict(message, preserving_proto_field_name=True)
        self.loads.append(name)
        self._let_go.discard(name)

    def unload(self, name: str) -> None:
        self._answer()
        if self._loaded.pop(name, None) is not None:
            self._let_go.add(name)

    def infer(self, model: str, inputs: Sequence[TensorData], **_: Any) -> InferenceAnswer:
        if not self.running:
            raise NoAnswerError("no answer from Triton")
        if model not in self._loaded:
            raise InferenceRefusedError(400, f"unknown model: '{model}' is not found")
        self.asked.append((model, tuple(inputs)))
        return InferenceAnswer(list(self.answers), {}, 0.001)

    def index(self) -> Sequence[HeldModel]:
        self._answer()
        return [HeldModel(name, "1", "READY", "") for name in sorted(self._loaded)]

    def let_go(self) -> frozenset[str]:
        self._answer()
        return frozenset(self._let_go)

    def is_ready(self, name: str) -> bool:
        self._answer()
        return name in self._loaded

    def config(self, name: str) -> Mapping[str, Any]:
        self._answer()
        if name not in self._loaded:
            raise TritonError(f"Request for unknown model: '{name}' is not found")
        return self._loaded[name]

    def server_version(self) -> str:
        self._answer()
        return "2.51.0"

    def scrape(self) -> Sequence[Sample]:
        self._answer()
        return [
            Sample(gauge, {"endpoint": endpoint, "arm": name}, 1.0)
            for name, (gauge, endpoint) in sorted(self._busy.items())
        ]

    def _answer(self) -> None:
        if not self.running:
            raise TritonUnreachableError("no answer from Triton")


class FakeInference:
    """One endpoint whose only arm multiplies `x`; keeps in `asked` what it was asked.

    `fail` is raised in place of an answer.
    """

    def __init__(self, model: str, arm: str, factor: float = 1.0, width: int = 64) -> None:
        self._model, self._arm, self._factor, self._width = model, arm, factor, width
        self.asked: list[dict[str, Any]] = []
        self.fail: Exception | None = None

    def infer(
        self,
        model: str,
        inputs: Sequence[TensorData],
        *,
        version: int | None = None,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, Scalar] | None = None,
    ) -> InferenceAnswer:
        self.asked.append(
            {"inputs": inputs, "version": version, "headers": headers, "parameters": parameters}
        )
        if self.fail:
            raise self.fail
        if model != self._model:
            raise InferenceRefusedError(404, f"Request for unknown model: '{model}' is not found")
        if version not in (None, 1):
            raise InferenceRefusedError(400, f"requested version {version} is not available")
        [given] = inputs
        count = len(given.data) // 4
        if count != self._width:
            raise InferenceRefusedError(400, f"unexpected shape for input '{given.name}'")
        values = struct.unpack(f"<{count}f", given.data)
        data = struct.pack(f"<{count}f", *(value * self._factor for value in values))
        output = TensorData("y", "FP32", given.shape, data)
        return InferenceAnswer([output], {"nereid_arm": self._arm}, 0.002)


class FakeRecorder:
    """`ports.recorder.RequestRecorder` in memory; `record` is what its router does."""

    def __init__(self) -> None:
        self.asks: dict[str, RecordingAsk] = {}
        self.found: dict[str, Recorded | OSError] = {}
        self.contents: dict[str, bytes] = {}

    def ask(self, key: str, ask: RecordingAsk) -> None:
        self.asks[key] = ask

    def asked(self) -> Sequence[str]:
        return sorted(self.asks)

    def look(self, key: str) -> Recorded:
        found = self.found.get(key, Recorded())
        if isinstance(found, OSError):
            raise found
        return found

    def content(self, key: str) -> bytes:
        return self.contents[key]

    def forget(self, key: str) -> None:
        for kept in (self.asks, self.found, self.contents):
            kept.pop(key, None)

    def record(self, key: str, content: bytes, *, done: bool = True) -> None:
        self.contents[key] = content
        self.found[key] = Recorded(begun=True, done=done, requests=2, bytes=len(content))

"""Whatever pipeline we take, Triton takes; its members are loaded once, whoever shares them."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from control_plane.adapters.artifacts import FileArtifactStore
from control_plane.adapters.repository import DiskRepository
from control_plane.adapters.triton.control import ApiTritonControl
from control_plane.adapters.triton.inference import HttpTritonInference
from control_plane.adapters.triton.metrics import HttpTritonMetrics
from control_plane.adapters.triton.pbtxt import config_text
from control_plane.domain.pipelines.document import read_pipeline
from control_plane.domain.pipelines.members import Key, Member
from control_plane.domain.planning.model_config import ensemble_config
from control_plane.domain.planning.pipelines import PipelineSpec
from control_plane.domain.planning.plan import VersionSpec
from control_plane.domain.signature import Signature, Tensor
from control_plane.fleet.agent import NodeAgent
from control_plane.fleet.node_state import NodeState
from tests.integration.backends.native_models import native_model
from tests.support.models import multiplier
from tests.support.pipelines import Drawn, fitting
from tests.support.plans import pipeline, pipeline_plan, version
from tests.support.repositories import IDENTITY
from tests.support.triton import CONTROL_KEY, RunningTriton, running_triton, tensor

FACTORS = Signature(inputs=(Tensor("x", "FP32", (-1, 4)),), outputs=(Tensor("y", "FP32", (-1, 4)),))


@pytest.fixture(scope="module")
def server() -> Iterator[RunningTriton]:
    with running_triton("pipelines") as running:
        yield running


def load(server: RunningTriton, drawn: Drawn) -> None:
    """The members and then the pipeline; everything is gone again afterwards."""
    wiring = drawn.wired()
    physical = {key: f"{key[0]}.drawn" for key in drawn.members}
    try:
        for key, member in drawn.members.items():
            native_model(server.repository, physical[key], IDENTITY, _config(member))
            server.load(physical[key])
        folder = server.repository / "pipeline" / "1"
        folder.mkdir(parents=True)
        config = ensemble_config(wiring, wiring.steps, physical)
        (folder.parent / "config.pbtxt").write_text(config_text("pipeline", config))
        server.load("pipeline")
        assert server.call("/v2/models/pipeline/ready")[0] == 200
    finally:
        for name in ("pipeline", *physical.values()):
            server.unload(name)
            shutil.rmtree(server.repository / name, ignore_errors=True)


def _config(member: Member) -> str:
    lines = [f"max_batch_size: {member.max_batch_size}"]
    for side in ("input", "output"):
        for one in getattr(member.signature, f"{side}s"):
            dims = member.seen(one)[1 if member.max_batch_size else 0 :]
            kind = "STRING" if one.datatype == "BYTES" else one.datatype
            lines.append(
                f'{side} {{ name: "{one.name}" data_type: TYPE_{kind} dims: {list(dims)} }}'
            )
    return "\n".join(lines)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=fitting())
def test_every_pipeline_that_fits_is_loaded(server: RunningTriton, drawn: Drawn) -> None:
    load(server, drawn)


@pytest.mark.long
@settings(max_examples=400, deadline=None)
@given(drawn=fitting())
def test_every_pipeline_that_fits_is_loaded_many(server: RunningTriton, drawn: Drawn) -> None:
    load(server, drawn)


class Line:
    """A node beside the server, with multipliers as versions."""

    def __init__(self, server: RunningTriton, root: Path) -> None:
        self.server = server
        self.store = FileArtifactStore(root / "artifacts")
        self.root = root
        self.versions: dict[Key, VersionSpec] = {}
        self.control = ApiTritonControl(server.options.http, server.options.grpc, CONTROL_KEY)
        self.metrics = HttpTritonMetrics(server.options.metrics_url)
        self.inference = HttpTritonInference(server.options.http)
        self.agent = NodeAgent(
            triton=self.control,
            metrics=self.metrics,
            inference=self.inference,
            repository=DiskRepository(server.repository, self.store),
            state=NodeState(root / "state"),
            accelerator="cpu",
        )

    def close(self) -> None:
        for client in (self.control, self.metrics):
            client.close()

    def add(self, number: int) -> None:
        """Version `number` of `times`, which multiplies by its number."""
        multiplier(self.root / "model.onnx", float(number))
        content = (self.root / "model.onnx").read_bytes()
        self.store.add(io.BytesIO(content))
        spec = version(number, model="times", signature=FACTORS, content=content)
        self.versions["times", number] = spec

    def loads_of(self, number: int) -> int:
        return self.server.log.read_text().count(f"successfully loaded 'times.v{number}.")

    def answer(self, x: Any = ((1, 1, 1, 1), (1, 1, 1, 1))) -> list[list[float]]:
        given = tensor("x", np.array(x, np.float32))
        answer: list[list[float]] = (
            self.server.grpc_client().infer("line", [given]).as_numpy("y").tolist()
        )
        return answer


@pytest.fixture
def line(server: RunningTriton, tmp_path: Path) -> Iterator[Line]:
    made = Line(server, tmp_path)
    yield made
    made.close()


def test_members_are_pinned_and_loaded_once(server: RunningTriton, line: Line) -> None:
    for number in (2, 3, 5):
        line.add(number)
    first = pipeline_plan(1, pipeline(("times", 2), ("times", 3)), versions=line.versions)
    line.agent.prepare(first)
    line.agent.switch(first)
    assert line.answer() == [[6.0] * 4] * 2
    # Sent once more, a file is younger, and a model that links to it must not look changed.
    line.add(2)
    other = pipeline(("times", 2), ("times", 5), number=2)
    second, third = (pipeline_plan(n, other, versions=line.versions) for n in (2, 3))
    line.agent.prepare(second)
    line.agent.switch(second)
    assert line.answer() == [[10.0] * 4] * 2
    assert [line.loads_of(number) for number in (2, 3, 5)] == [1, 1, 1]
    line.agent.prepare(third)
    line.agent.switch(third)
    line.agent.retire("line", 3)
    held = {folder.name.split(".")[1] for folder in server.repository.glob("*.v*")}
    assert held == {"v2", "v5"}, "the pipeline of before is gone, and only its own member with it"
    line.agent.remove("line", 4)
    assert not list(server.repository.glob("*.v*"))


def test_a_cascade_is_a_step_like_any_other(server: RunningTriton, line: Line) -> None:
    """Rows are multiplied by 2, or by 3 where that gives less than 0.9; and all of them by 5."""
    for number in (2, 3, 5):
        line.add(number)
    cascade = {
        "kind": "cascade",
        "confidence": {"output": "y", "score": "probability"},
        "steps": [
            {"name": "cheap", "model": "times", "version": 2, "at_least": 0.9},
            {"name": "dear", "model": "times", "version": 3},
        ],
    }
    graph = {
        "outputs": ["y", "cascade_step"],
        "steps": [
            {"pipeline": "sure", "revision": 1, "outputs": {"y": "between"}},
            {"model": "times", "version": 5, "inputs": {"x": "between"}},
        ],
    }
    sure, outer = (
        PipelineSpec(name, 1, read_pipeline(name, document))
        for name, document in (("sure", cascade), ("line", graph))
    )
    plan = pipeline_plan(1, outer, versions=line.versions, inner=[sure])
    order = [model.name.rsplit(".", 1)[0] for model in plan.models]
    assert order == ["times.v2", "times.v3", "sure.v1", "times.v5", "line.v1"]
    assert set(plan.versions) == {("times", number) for number in (2, 3, 5)}
    line.agent.prepare(plan)
    line.agent.switch(plan)
    assert line.answer([[0.5, 0, 0, 0], [0.2, 0, 0, 0]]) == [[5, 0, 0, 0], [3, 0, 0, 0]]
    for generation in (2, 3):  # what served last is kept, for the way back
        plain = pipeline_plan(generation, pipeline(("times", 5)), versions=line.versions)
        line.agent.prepare(plain)
        line.agent.switch(plain)
    line.agent.retire("line", 3)
    held = {folder.name.rsplit(".", 1)[0] for folder in server.repository.glob("*.v*")}
    assert held == {"line.v1", "times.v5"}
    line.agent.remove("line", 4)

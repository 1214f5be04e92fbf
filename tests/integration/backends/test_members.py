"""Cascades and weighted averages over other models, in a real Triton."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

from nereid.cli import run
from tests.support import models
from tests.support.control_plane_answers import FakeServer, answer, problem
from tests.support.triton import RunningTriton, running_triton, tensor
from tests.unit.nereid.test_export_command import answers, digest, told
from tests.unit.nereid.test_pipelines_in_repositories import shown

CASCADE = {
    "members": ["once", "thrice"],
    "output": "y",
    "score": "probability",
    "at_least": [0.9],
}
AVERAGE = {"members": ["once", "thrice"], "weights": [3, 1], "scale": "as_is"}
STEP = 'output [{ name: "cascade_step" data_type: TYPE_INT32 dims: [1] }]\n'
BATCHES = "dynamic_batching { max_queue_delay_microseconds: 200000 preferred_batch_size: [8] }\n"


def combined(repository: Path, name: str, backend: str, said: Any, config: str = "") -> None:
    text = json.dumps(json.dumps(said))
    models.model_directory(
        repository,
        name,
        f'backend: "{backend}"\ninstance_group {{ kind: KIND_CPU count: 2 }}\n'
        f"{models.MULTIPLIER_SIGNATURE}"
        f'parameters {{ key: "{backend}" value {{ string_value: {text} }} }}\n{config}',
    )


@pytest.fixture(scope="module")
def server() -> Iterator[RunningTriton]:
    with running_triton("members") as running:
        repository = running.repository
        models.multiplier_model(repository, "once", 1.0)
        models.multiplier_model(repository, "thrice", 3.0)
        combined(repository, "cascade", "cascade", CASCADE, STEP + BATCHES)
        combined(repository, "average", "weighted_average", AVERAGE)
        gone = {**CASCADE, "members": ["once", "gone"]}
        combined(repository, "broken", "cascade", gone)
        for name in ("once", "thrice", "cascade", "average", "broken"):
            running.load(name)
        yield running


@pytest.fixture
def client(server: RunningTriton) -> grpcclient.InferenceServerClient:
    return server.grpc_client()


def rows(*largest: float) -> np.ndarray:
    return np.array([[value, 0, 0, 0] for value in largest], np.float32)


def test_the_second_member_answers_what_the_first_is_not_sure_of(server, client) -> None:
    x = rows(0.95, 0.5, 0.9, 0.1)
    answer = client.infer("cascade", [tensor("x", x)])
    assert answer.as_numpy("cascade_step").tolist() == [[0], [1], [0], [1]]
    assert np.array_equal(answer.as_numpy("y"), x * np.array([[1], [3], [1], [3]], np.float32))


def test_requests_that_are_batched_together_get_their_own_rows(server, client) -> None:
    before = {m: server.metric("nereid_cascade_rows_total", member=m) for m in CASCADE["members"]}
    executions = server.metric("nv_inference_exec_count", model="cascade")

    def one(value: float) -> list[float]:
        answer = client.infer("cascade", [tensor("x", rows(value, value))])
        return [float(v) for v in answer.as_numpy("y")[:, 0]]

    values = [0.95, 0.5, 0.92, 0.25]
    with ThreadPoolExecutor(4) as callers:
        found = list(callers.map(one, values))
    wanted = [np.float32(v) * (1 if v >= 0.9 else 3) for v in values]
    assert found == [[float(v)] * 2 for v in wanted]
    assert server.metric("nv_inference_exec_count", model="cascade") < executions + 4
    for member in CASCADE["members"]:
        rows_answered = server.metric("nereid_cascade_rows_total", model="cascade", member=member)
        assert rows_answered - before[member] == 4


def test_a_member_that_is_away_fails_only_those_who_need_it(client) -> None:
    sure = client.infer("broken", [tensor("x", rows(0.95))])
    assert sure.as_numpy("y")[0, 0] == np.float32(0.95)
    with pytest.raises(InferenceServerException, match="gone"):
        client.infer("broken", [tensor("x", rows(0.1))])


def test_the_weighted_mean_of_all_members(client) -> None:
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    answer = client.infer("average", [tensor("x", x)])
    assert np.allclose(answer.as_numpy("y"), x * (3 * 1 + 1 * 3) / 4)


@pytest.mark.parametrize(
    ("backend", "said", "problem"),
    [
        ("cascade", {"members": ["once"]}, "parameter cascade cannot be read"),
        ("weighted_average", {**AVERAGE, "weights": [1]}, "a weight for each"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_loaded(server, backend, said, problem) -> None:
    combined(server.repository, "wrong", backend, said)
    with pytest.raises(RuntimeError, match=problem):
        server.load("wrong")


def test_what_is_exported_of_patterns_runs_without_their_backends(
    server: RunningTriton, client: grpcclient.InferenceServerClient, tmp_path: Path
) -> None:
    """A mean of a cascade and one of its members: x, or 3 x where that is unsure, and 3 x."""
    between = {"kind": "cascade", "confidence": {"output": "y", "score": "probability"}}
    cheap, dear = ({"name": f"v{n}", "model": "digits", "version": n} for n in (1, 3))
    cascade = {**between, "steps": [{**cheap, "at_least": 0.9}, dear]}
    inside = {"name": "sure", "pipeline": "sure", "revision": 2}
    mean = {"kind": "weighted_average", "steps": [{**inside, "weight": 1}, {**dear, "weight": 3}]}
    given: dict[str, Any] = {}
    for number in (1, 3):
        models.multiplier(tmp_path / "model.onnx", float(number))
        content = (tmp_path / "model.onnx").read_bytes()
        config = {"backend": "onnxruntime", "max_batch_size": 8}
        held = [{"path": f"{number}/model.onnx", "sha256": digest(content)}]
        given |= answers(told(number, content, config=config, files=held), content=content)
    tensors = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]}
    tensors["outputs"] = [{**tensors["inputs"][0], "name": "y"}]
    control_plane = FakeServer(
        {
            "GET /endpoints/mean/policy/": problem(404, "Not Found"),
            "GET /pipelines/mean/": answer(shown("mean", mean)),
            "GET /pipelines/mean/revisions/1/": answer({**shown("mean", mean), **tensors}),
            "GET /pipelines/sure/revisions/2/": answer({**shown("sure", cascade, 2), **tensors}),
            **given,
        }
    )
    made = tmp_path / "made"
    targets = ["digits:1", "digits:3", "mean"]
    assert run(["export", *targets, str(made)], control_plane.session(tmp_path)) == 0
    names = sorted(path.name for path in made.iterdir() if path.is_dir())
    assert names == ["digits", "mean", "sure"]
    for name in names:
        shutil.copytree(made / name, server.repository / name)
        server.load(name)
    x = tensor("x", np.array([[1, 0, 0, 0], [0.5, 0, 0, 0]], np.float32))
    assert client.infer("sure", [x]).as_numpy("y")[:, 0].tolist() == [1.0, 1.5]
    assert client.infer("mean", [x]).as_numpy("y")[:, 0].tolist() == [2.5, 1.5]

"""Cascades and weighted averages over other models, in a real Triton."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

from tests.support import models
from tests.support.triton import RunningTriton, running_triton, tensor

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

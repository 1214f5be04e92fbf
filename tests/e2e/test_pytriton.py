"""A function that somebody bound with PyTriton takes a share of an endpoint's traffic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpcclient

from nereid import Client
from tests.support.pytriton_process import MAX_BATCH, PyTritonProcess
from tests.support.serving import ServingStack
from tests.support.triton import eventually, free_ports, tensor

pytestmark = pytest.mark.long

X = np.arange(6, dtype=np.float32).reshape(2, 3)

TRIPLE = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("y", x * 3)])
"""
SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, -1]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, -1]}],
}


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[PyTritonProcess]:
    process = PyTritonProcess(tmp_path, free_ports(3))
    process.start()
    yield process
    process.stop()


def test_a_notebooks_function_is_an_arm_and_is_rescued_when_it_goes(
    serving_stack: ServingStack, notebook: PyTritonProcess, tmp_path: Path
) -> None:
    source = tmp_path / "model.py"
    source.write_text(TRIPLE)
    rule = {"when": {"parameter:lane": {"equals": "trial"}}, "arm": "notebook"}
    policy = {
        "arms": [
            {"name": "stable", "model": "times", "version": 1, "weight": 99, "primary": True},
            {"name": "notebook", "model": "times", "version": 2, "weight": 1},
        ],
        "rules": [rule],
    }
    with Client(serving_stack.api, serving_stack.token) as nereid:
        nereid.push("times", source, signature=SIGNATURE, create=True, wait=True)
        adopted = nereid.push("times", source=notebook.source, wait=True)
        assert (adopted.state, adopted.raw["framework"]) == ("ready", "remote")
        assert adopted.raw["overrides"] == {"max_batch_size": MAX_BATCH}
        nereid.ensure_endpoint("times")
        accepted = nereid.put_policy("times", policy, etag="*")
        endpoint = nereid.wait_endpoint("times", generation=accepted.generation)
        assert endpoint.status == "Healthy", endpoint.reason
        client = grpcclient.InferenceServerClient(serving_stack.stack["triton"]["grpc"])

        def answered() -> np.ndarray:
            answer = client.infer("times", [tensor("x", X)], parameters={"lane": "trial"})
            found: np.ndarray = answer.as_numpy("y")
            return found

        assert np.array_equal(answered(), X * 2)
        # Its process goes: callers do not notice, the primary answers in its place.
        notebook.stop()
        assert np.array_equal(answered(), X * 3)
        # It comes back, and its share with it, as soon as the breaker lets it.
        notebook.start()
        eventually(lambda: np.array_equal(answered(), X * 2), within_s=90)
        client.close()
        nereid.delete_endpoint("times")

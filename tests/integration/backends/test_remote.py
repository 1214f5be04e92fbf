"""The backend `remote`: requests go on to another service of the v2 protocol and come back.

That service is the same Triton here, which spares the tests a second one; what PyTriton serves is
asked in `test_pytriton`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from control_plane.adapters.remotes import GrpcRemoteModels
from control_plane.domain.registry.remote import RemoteModel, read_remote
from control_plane.ports.remotes import RemoteFailedError
from tests.support.triton import RunningTriton, eventually, running_triton, tensor

CONFIG = """
backend: "{backend}"
default_model_filename: "{file}"
max_batch_size: 8
dynamic_batching {{ }}
input {{ name: "{given}" data_type: {kind} dims: [-1] }}
output {{ name: "{made}" data_type: {kind} dims: [-1] }}
parameters {{ key: "folder" value {{ string_value: "{folder}" }} }}
instance_group {{ count: 1 kind: KIND_CPU }}
"""
# What stands at the other end: one instance each, so that a call that hangs would hold it.
DOUBLE = """
import json
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
        if (x < 0).any():
            said = pb_utils.TritonError("no negative numbers", pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(error=said)
        given = json.loads(request.parameters() or "{}")
        if any(name.startswith("nereid_") for name in given):
            said = pb_utils.TritonError("that is the router's", pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(error=said)
        factor = int(given.get("factor", 2))
        return pb_utils.InferenceResponse([pb_utils.Tensor("y", x * factor)])
"""
WORDS = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        text = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()
        made = np.array([t.decode().upper().encode() for t in text.reshape(-1)], object)
        return pb_utils.InferenceResponse([pb_utils.Tensor("capitals", made.reshape(text.shape))])
"""
SLEEPER = """
import json
import pathlib
import time
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        said = json.loads(args["model_config"])["parameters"]
        self.folder = pathlib.Path(said["folder"]["string_value"])

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
        until = time.monotonic() + float(x.max())
        while time.monotonic() < until:
            if request.is_cancelled():
                (self.folder / "cancelled").touch()
                break
            time.sleep(0.01)
        return pb_utils.InferenceResponse([pb_utils.Tensor("y", x)])
"""
FP32 = {"given": "x", "made": "y", "kind": "TYPE_FP32"}
THERE = {
    "double": (DOUBLE, FP32),
    "words": (WORDS, {"given": "text", "made": "capitals", "kind": "TYPE_STRING"}),
    "sleeper": (SLEEPER, FP32),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTriton]:
    folder = tmp_path_factory.mktemp("remote")
    with running_triton("remote") as running:
        for name, (source, tensors) in THERE.items():
            config = CONFIG.format(backend="python", file="model.py", folder=folder, **tensors)
            _write(running.repository / name, config, {"model.py": source})
            running.load(name)
            forwarded(running, f"my-{name}", {"model": name}, **tensors)
        running.notes = folder  # type: ignore[attr-defined]
        yield running


def forwarded(server: RunningTriton, name: str, said: dict[str, Any], **tensors: str) -> None:
    """Loads a model that hands its requests on."""
    config = CONFIG.format(backend="remote", file="remote.json", folder="", **tensors)
    address = {"address": server.options.grpc, **said}
    _write(server.repository / name, config, {"remote.json": json.dumps(address)})
    server.load(name)


def _write(folder: Path, config: str, files: dict[str, str]) -> None:
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(config)
    for name, text in files.items():
        (folder / "1" / name).write_text(text)


def ask(server: RunningTriton, model: str, value: np.ndarray, **more: Any) -> np.ndarray:
    given, made = ("text", "capitals") if value.dtype == object else ("x", "y")
    answer = server.grpc_client().infer(model, [tensor(given, value)], **more)
    found: np.ndarray = answer.as_numpy(made)
    return found


def test_it_answers_as_if_it_were_here(server: RunningTriton) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(ask(server, "my-double", x), x * 2)
    text = np.array([[b"nereid"], ["größe".encode()]], dtype=object)
    capitals = ask(server, "my-words", text)
    assert [one.decode() for one in capitals.reshape(-1)] == ["NEREID", "GRÖSSE"]


def test_the_callers_parameters_go_along(server: RunningTriton) -> None:
    x = np.ones((1, 2), np.float32)
    assert np.array_equal(ask(server, "my-double", x, parameters={"factor": 5}), x * 5)
    # What begins like our own words is nobody's to send on.
    sent = {"factor": 5, "nereid_arm": "other"}
    assert np.array_equal(ask(server, "my-double", x, parameters=sent), x * 5)


def test_requests_of_one_batch_are_asked_each_for_itself(server: RunningTriton) -> None:
    """So one that is refused there fails alone."""
    client = server.grpc_client()
    answers: list[tuple[Any, Any]] = []
    for value in (1.0, -1.0, 2.0):
        given = [tensor("x", np.array([[value]], np.float32))]
        client.async_infer(
            "my-double", given, lambda result, error: answers.append((result, error))
        )
    eventually(lambda: len(answers) == 3)
    good = sorted(float(result.as_numpy("y")[0, 0]) for result, error in answers if not error)
    [refused] = [error for _, error in answers if error]
    assert good == [2.0, 4.0]
    assert "refused a request for 'double': no negative numbers" in str(refused)
    assert refused.status() == "StatusCode.INVALID_ARGUMENT"


def test_a_caller_that_waits_no_longer_is_waited_for_nowhere(server: RunningTriton) -> None:
    with pytest.raises(InferenceServerException, match="Deadline"):
        ask(server, "my-sleeper", np.array([[20.0]], np.float32), client_timeout=0.5)
    noted = server.notes / "cancelled"  # type: ignore[attr-defined]
    eventually(noted.exists, what="the sleeper to hear of it")
    quick = np.array([[0.0]], np.float32)
    assert ask(server, "my-sleeper", quick, client_timeout=10.0).shape == (1, 1)


class _Liar(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Doubles what it is sent, and answers what is below 0 with something that is no tensor."""

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's
        x = np.frombuffer(request.raw_input_contents[0], np.float32)
        answer = service_pb2.ModelInferResponse(model_name="liar")
        answer.outputs.add(name="y", datatype="FP32", shape=(len(x), 1))
        answer.raw_output_contents.append((x * 2).tobytes() if (x >= 0).all() else b"123")
        return answer


def test_an_answer_that_is_none_fails_its_own_request_alone(server: RunningTriton) -> None:
    other = grpc.server(ThreadPoolExecutor(4))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Liar(), other)
    port = other.add_insecure_port("127.0.0.1:0")
    other.start()
    try:
        forwarded(server, "nonsense", {"address": f"127.0.0.1:{port}", "model": "liar"}, **FP32)
        client = server.grpc_client()
        answers: list[tuple[Any, Any]] = []
        for value in (1.0, -1.0, 2.0, 3.0):
            given = [tensor("x", np.array([[value]], np.float32))]
            client.async_infer(
                "nonsense", given, lambda result, error: answers.append((result, error))
            )
        eventually(lambda: len(answers) == 4)
    finally:
        other.stop(None)
    good = sorted(float(made.as_numpy("y")[0, 0]) for made, error in answers if not error)
    [refused] = [error for _, error in answers if error]
    assert good == [2.0, 4.0, 6.0]
    assert f"127.0.0.1:{port} gave an answer for 'liar' that is none" in str(refused)


def test_one_that_takes_too_long_is_told_so(server: RunningTriton) -> None:
    forwarded(server, "impatient", {"model": "sleeper", "timeout_s": 0.2}, **FP32)
    began = time.monotonic()
    with pytest.raises(InferenceServerException) as refused:
        ask(server, "impatient", np.array([[20.0]], np.float32))
    assert time.monotonic() - began < 15
    assert "did not answer for 'sleeper' in time" in str(refused.value)
    assert refused.value.status() == "StatusCode.UNAVAILABLE"


def test_a_process_that_is_away_is_told_at_once_and_its_model_loads(server: RunningTriton) -> None:
    forwarded(server, "away", {"address": "127.0.0.1:9", "model": "double"}, **FP32)
    with pytest.raises(InferenceServerException) as refused:
        ask(server, "away", np.ones((1, 1), np.float32))
    assert "the process at 127.0.0.1:9 that serves 'double' is away" in str(refused.value)
    assert refused.value.status() == "StatusCode.UNAVAILABLE"


def test_what_it_takes_and_gives_is_asked_of_the_process(server: RunningTriton) -> None:
    address = server.options.grpc
    found = GrpcRemoteModels().describe(read_remote(f"grpc://{address}/double"))
    assert found.max_batch_size == 8
    assert [str(one) for one in found.signature.inputs] == ["x FP32[-1,-1]"]
    assert [str(one) for one in found.signature.outputs] == ["y FP32[-1,-1]"]
    with pytest.raises(RemoteFailedError, match="says of 'other'"):
        GrpcRemoteModels().describe(read_remote(f"grpc://{address}/other"))
    away = RemoteModel("127.0.0.1", 9, "double")
    with pytest.raises(RemoteFailedError, match=re.escape("no process answers at 127.0.0.1:9")):
        GrpcRemoteModels().describe(away)

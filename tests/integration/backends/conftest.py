"""One real Triton with arms of every kind, shared by the router's tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tritonclient.grpc as grpcclient

from backends.build import Target, build
from tests.integration.backends.arms import Stage
from tests.support import models
from tests.support.triton import RunningTriton, running_triton

# Gives back every tensor it is sent, and says in `about` what came with them.
MIRROR = """
import json
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        given = json.loads(request.parameters())
        if "fail_with" in given:
            code = getattr(pb_utils.TritonError, given["fail_with"])
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("told to fail", code))
        wanted = request.requested_output_names()
        tensors = [
            pb_utils.Tensor(tensor.name().replace("in_", "out_"), tensor.as_numpy())
            for tensor in request.inputs()
            if tensor.name().replace("in_", "out_") in wanted
        ]
        if "about" in wanted:
            about = {
                "id": request.request_id(),
                "correlation_id": request.correlation_id(),
                "flags": request.flags(),
                "timeout": request.timeout(),
                "parameters": given,
                "wanted": sorted(wanted),
                "shapes": {tensor.name(): tensor.shape() for tensor in request.inputs()},
            }
            tensors.append(pb_utils.Tensor("about", np.array([json.dumps(about).encode()], object)))
        return pb_utils.InferenceResponse(tensors)
"""

MIRROR_TYPES = list(models.ONNX_TYPES)

MIRROR_SIGNATURE = "\n".join(
    [
        "max_batch_size: 0",
        *(
            f'input {{ name: "in_{kind}" data_type: TYPE_{kind} dims: [-1, -1] optional: true }}\n'
            f'output {{ name: "out_{kind}" data_type: TYPE_{kind} dims: [-1, -1] }}'
            for kind in MIRROR_TYPES
        ),
        'output { name: "about" data_type: TYPE_STRING dims: [1] }',
    ]
)

# Answers as many times as it is told, 0 included.
COUNTER = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            tensor = pb_utils.get_input_tensor_by_name(request, "n")
            for index in range(int(tensor.as_numpy()[0])):
                value = pb_utils.Tensor("i", np.array([index], np.int32))
                sender.send(pb_utils.InferenceResponse([value]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        return None
"""

COUNTER_SIGNATURE = """
input [{ name: "n" data_type: TYPE_INT32 dims: [1] }]
output [{ name: "i" data_type: TYPE_INT32 dims: [1] }]
model_transaction_policy { decoupled: true }
"""

# Answers when its queue lets it: one request at a time, slowly.
SLOW = """
import time
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        time.sleep(0.3)
        return [
            pb_utils.InferenceResponse(
                [pb_utils.Tensor("y", pb_utils.get_input_tensor_by_name(r, "x").as_numpy())]
            )
            for r in requests
        ]
"""

SLOW_QUEUE = """
dynamic_batching {
  preferred_batch_size: [1]
  default_queue_policy { timeout_action: REJECT allow_timeout_override: true
                         default_timeout_microseconds: 30000000 }
}
max_batch_size: 1
input [{ name: "x" data_type: TYPE_FP32 dims: [4] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [4] }]
"""


# A priority only reaches a model that declares levels, and so the router of one declares them too.
PROBE_SIGNATURE = """
max_batch_size: 8
input [{ name: "x" data_type: TYPE_BF16 dims: [-1] }]
output [{ name: "y" data_type: TYPE_BF16 dims: [-1] }]
dynamic_batching { priority_levels: 5 default_priority_level: 3 }
"""


def probe_model(repository: Path, name: str) -> None:
    """The native arm of probe.cc; Triton finds its library in the model's own folder."""
    source = Path(__file__).with_name("probe.cc")
    library = build(Target("libtriton_probe.so", (str(source),)), verbose=False)
    models.model_directory(
        repository,
        name,
        f'backend: "probe"\ninstance_group {{ kind: KIND_CPU }}\n{PROBE_SIGNATURE}',
    )
    shutil.copy(library, repository / name / library.name)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningTriton]:
    with running_triton("traffic") as running:
        repository = running.repository
        tuned = """
        max_batch_size: 8
        parameters { key: "intra_op_thread_count" value { string_value: "1" } }
        """
        models.multiplier_model(repository, "m.v1.aaaaaa", 1.0, tuned)
        models.multiplier_model(repository, "m.v2.bbbbbb", 2.0, tuned)
        models.python_model(repository, "mirror.v1.cccccc", MIRROR_SIGNATURE, MIRROR)
        models.python_model(repository, "counter.v1.dddddd", COUNTER_SIGNATURE, COUNTER)
        models.python_model(repository, "slow.v1.eeeeee", SLOW_QUEUE, SLOW)
        models.router(
            repository,
            "m",
            {"m.v1.aaaaaa": 9000, "m.v2.bbbbbb": 1000},
            pinned={1: "m.v1.aaaaaa", 2: "m.v2.bbbbbb"},
        )
        models.router(
            repository, "mirror", {"mirror.v1.cccccc": 10_000}, signature=MIRROR_SIGNATURE
        )
        models.router(
            repository, "counter", {"counter.v1.dddddd": 10_000}, signature=COUNTER_SIGNATURE
        )
        slow_signature = SLOW_QUEUE[SLOW_QUEUE.index("max_batch_size") :]
        models.router(repository, "slow", {"slow.v1.eeeeee": 10_000}, signature=slow_signature)
        probe_model(repository, "probe.v1.ffffff")
        models.router(repository, "probe", {"probe.v1.ffffff": 10_000}, signature=PROBE_SIGNATURE)
        for name in sorted(path.name for path in repository.iterdir()):
            running.load(name)
        yield running


@pytest.fixture(scope="module")
def client(server: RunningTriton) -> grpcclient.InferenceServerClient:
    return server.grpc_client()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A server for endpoints of the tests' own; at the end nothing may be left over."""
    with running_triton("router") as running:
        made = Stage(running)
        yield made
        made.strike()

"""Golden examples as the first requests of a model, from the plan to the real server."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from control_plane.adapters.artifacts import FileArtifactStore
from control_plane.adapters.repository import DiskRepository
from control_plane.domain.planning.compiled_version import physical_directory
from control_plane.domain.planning.plan import VersionSpec
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.signature import Signature, Tensor
from tests.support.triton import RunningTriton, running_triton

SAYS = b"""
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            seen = sorted((t.name(), t.as_numpy().tolist()) for t in request.inputs())
            print("WARMED", len(requests), seen, flush=True)
        y = pb_utils.Tensor("y", np.zeros((1, 1), np.float32))
        return [pb_utils.InferenceResponse([y]) for _ in requests]
"""
CALLERS = Signature(
    inputs=(
        Tensor("words", "BYTES", (-1, 1)),
        Tensor("x", "FP32", (-1, -1)),
        Tensor("half", "FP16", (-1, 1)),
        Tensor("sure", "BOOL", (-1, 1)),
    ),
    outputs=(Tensor("y", "FP32", (-1, 1)),),
)
KEEPS = Signature(
    inputs=(*CALLERS.inputs, Tensor("kept", "INT64", (-1, 1))),
    outputs=(*CALLERS.outputs, Tensor("kept_next", "INT64", (-1, 1))),
)
EXAMPLES = [
    {
        "inputs": {
            "words": [["grün"], ["x"]],
            "x": [[1.5, -2], [3, 4]],
            "half": [[0.5], [1]],
            "sure": [[True], [False]],
        }
    },
    {"inputs": {"words": [[""]], "x": [[7, 8, 9]], "half": [[2]], "sure": [[False]]}},
]
STATE = {
    "input_name": "kept",
    "output_name": "kept_next",
    "data_type": "TYPE_INT64",
    "dims": [1],
}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningTriton]:
    with running_triton("warmup") as running:
        yield running


@pytest.mark.parametrize(
    ("signature", "batching", "kept"),
    [
        (CALLERS, {"dynamic_batching": {}}, ""),
        (KEEPS, {"sequence_batching": {"state": [STATE]}}, "('kept', [[0]]), "),
    ],
    ids=["dynamic", "sequence"],
)
def test_a_model_is_warmed_up_with_its_golden_examples(
    server: RunningTriton, tmp_path: Path, signature: Signature, batching: dict[str, Any], kept: str
) -> None:
    store = FileArtifactStore(tmp_path)
    golden, _ = store.add(io.BytesIO(json.dumps(EXAMPLES).encode()))
    model, _ = store.add(io.BytesIO(SAYS))
    warmup = {"model_warmup": {"batch_sizes": [1, 2]}}
    spec = VersionSpec(
        "says",
        1,
        "python",
        model,
        signature,
        ServingProfile.from_values("p", {"max_batch_size": 2, **warmup, **batching}),
        golden_sha256=golden,
        golden_shapes=[{name: _shape(v) for name, v in e["inputs"].items()} for e in EXAMPLES],
    )
    directory = physical_directory(spec)
    for _ in range(2):  # what is there already is recognised
        DiskRepository(server.repository, store).publish(directory, "cpu")
    server.load(directory.name)
    first = "[('half', [[0.5]]), %s('sure', [[True]]), ('words', [[b'gr\\xc3\\xbcn']]), "
    second = "[('half', [[2.0]]), %s('sure', [[False]]), ('words', [[b'']]), "
    told = [line for line in server.log.read_text().splitlines() if "WARMED" in line]
    seen = [line[line.index("WARMED") :] for line in told[-3:]]
    assert seen == [
        "WARMED 1 " + first % kept + "('x', [[1.5, -2.0]])]",
        *["WARMED 2 " + second % kept + "('x', [[7.0, 8.0, 9.0]])]"] * 2,
    ]
    server.unload(directory.name)


def _shape(nested: Any) -> list[int]:
    return [len(nested), *_shape(nested[0])] if isinstance(nested, list) else []

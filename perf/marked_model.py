"""A model that a caller's marks make fail, dawdle or answer wrongly, as far as its version does.

Each request has three marks between 0 and 1, drawn at random by whoever calls (`draw`). A version
fails a request whose first mark is below its `fails`, works for `slow_ms` where the second is below
`heavy` (and for `quick_ms` elsewhere), and answers wrongly where the third is below its `wrong`. So
two versions differ in exactly what is said of them, on the very same requests.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

HEAVY = 0.05
"""The share of requests that are heavy."""

SERVED: dict[str, Any] = {"instance_group": [{"count": 2}]}
"""What a version says otherwise than its profile: one that sleeps leaves no other waiting."""

_SOURCE = """
import json
import time

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        said = json.loads(args["model_config"])["parameters"]
        self.says = {name: float(value["string_value"]) for name, value in said.items()}

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        marks = pb_utils.get_input_tensor_by_name(request, "marks").as_numpy()
        fails, heavy, wrong = marks[0]
        slow = heavy < self.says["heavy"]
        time.sleep(self.says["slow_ms" if slow else "quick_ms"] / 1000)
        if fails < self.says["fails"]:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("the request was marked"))
        right = np.float32(wrong >= self.says["wrong"])
        return pb_utils.InferenceResponse([pb_utils.Tensor("right", np.array([[right]]))])
"""

_CONFIG = """
max_batch_size: 1
input { name: "marks" data_type: TYPE_FP32 dims: [3] }
output { name: "right" data_type: TYPE_FP32 dims: [1] }
"""


@dataclass(frozen=True)
class Behaviour:
    """What a version does with marked requests."""

    fails: float = 0.0
    heavy: float = HEAVY
    slow_ms: float = 100.0
    quick_ms: float = 5.0
    wrong: float = 0.05

    def archive(self, folder: Path) -> Path:
        """Writes the version that behaves like that, as it is pushed."""
        parameters = "".join(
            f'parameters {{ key: "{name}" value {{ string_value: "{value}" }} }}\n'
            for name, value in asdict(self).items()
        )
        path = folder / "marked.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, text in (("model.py", _SOURCE), ("config.pbtxt", _CONFIG + parameters)):
                member = tarfile.TarInfo(name)
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
        return path


def draw(dice: np.random.Generator) -> npt.NDArray[np.float32]:
    """The marks of one request, of shape (1, 3)."""
    return dice.random((1, 3)).astype(np.float32)

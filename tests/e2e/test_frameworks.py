"""One model of each framework, from the push to the answer, equal to the framework's own."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import tritonclient.grpc as grpcclient

from nereid import Client, policy_document
from tests.support.serving import CHECKOUT, ServingStack

X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], np.float32)

PYTHON = """
import json
import numpy as np
import triton_python_backend_utils as pb_utils
from scale import scaled

class TritonPythonModel:
    def initialize(self, args):
        said = json.loads(args["model_config"])["parameters"]
        self.factor = float(said["factor"]["string_value"])

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("y", scaled(x, self.factor))])
"""
SCALE = "def scaled(x, factor):\n    return x * factor\n"
CONFIG = """
max_batch_size: 1
input { name: "x" data_type: TYPE_FP32 dims: [3] }
output { name: "y" data_type: TYPE_FP32 dims: [3] }
parameters { key: "factor" value { string_value: "2.5" } }
"""
SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
    "outputs": [{"name": "OUTPUT__0", "datatype": "FP32", "shape": [-1, 3]}],
}


class Affine(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 + 1


def python_archive(folder: Path) -> Path:
    path = folder / "model.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in (("model.py", PYTHON), ("scale.py", SCALE), ("config.pbtxt", CONFIG)):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def torchscript(folder: Path) -> Path:
    path = folder / "model.pt"
    with warnings.catch_warnings():  # deprecated by PyTorch, and what many teams have
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(Affine()).save(str(path))
    return path


def exported(folder: Path) -> Path:
    path = folder / "model.pt2"
    batch = torch.export.Dim("batch", min=1, max=256)
    program = torch.export.export(Affine(), (torch.ones(2, 3),), dynamic_shapes={"x": {0: batch}})
    torch.export.save(program, str(path))
    return path


@pytest.mark.parametrize(
    ("name", "framework", "make", "output", "expected"),
    [
        ("scaler", "python", python_archive, "y", X * 2.5),
        # The backends' own tests load both kinds in every run.
        *(
            pytest.param(name, "pytorch", make, "OUTPUT__0", X * 2 + 1, marks=pytest.mark.long)
            for name, make in (("scripted", torchscript), ("exported", exported))
        ),
    ],
)
def test_a_model_is_pushed_deployed_and_asked(
    serving_stack: ServingStack,
    tmp_path: Path,
    name: str,
    framework: str,
    make: Callable[[Path], Path],
    output: str,
    expected: np.ndarray,
) -> None:
    with Client(serving_stack.api, serving_stack.token) as nereid:
        signature = SIGNATURE if make is torchscript else None
        version = nereid.push(
            name, make(tmp_path), framework=framework, signature=signature, create=True, wait=True
        )
        assert version.state == "ready", version
        nereid.ensure_endpoint(name)
        accepted = nereid.put_policy(name, policy_document([f"{name}:1=100"]), etag="*")
        endpoint = nereid.wait_endpoint(name, generation=accepted.generation)
        assert endpoint.status == "Healthy", endpoint.reason
        client = grpcclient.InferenceServerClient(serving_stack.stack["triton"]["grpc"])
        given = grpcclient.InferInput("x", list(X.shape), "FP32")
        given.set_data_from_numpy(X)
        answer = client.infer(name, [given])
        client.close()
        assert np.array_equal(answer.as_numpy(output), expected)
        nereid.delete_endpoint(name)


def test_a_transform_goes_from_its_file_to_labels_by_the_command(
    serving_stack: ServingStack, tmp_path: Path
) -> None:
    def nereid(*arguments: str | Path) -> str:
        process = subprocess.run(
            [sys.executable, "-m", "nereid", *map(str, arguments)],
            cwd=CHECKOUT,
            env={**serving_stack.environment, "XDG_CONFIG_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        return process.stdout

    # Its name says what it is, and its steps what it takes and gives.
    file = CHECKOUT / "model_repository" / "samples" / "digits" / "top3.transform.yaml"
    version = json.loads(nereid("push", "top3", file, "--create", "--json"))
    assert (version["framework"], version["code"]) == ("transform", [])
    assert [t["name"] for t in version["signature"]["outputs"]] == ["digit", "probability"]
    nereid("deploy", "top3", "top3:1=100", "--create")
    (tmp_path / "logits.json").write_text(json.dumps([[0, 0, 0, 0, 2, 0, 0, 3, 0, 1]]))
    answer = json.loads(nereid("infer", "top3", "--input", tmp_path / "logits.json", "--json"))
    assert answer["outputs"]["digit"] == ["7", "4", "9"]
    with Client(serving_stack.api, serving_stack.token) as client:
        client.delete_endpoint("top3")

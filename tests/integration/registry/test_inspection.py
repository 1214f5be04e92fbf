"""What good files of every kind turn out to be, read and loaded as uploads are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from control_plane.adapters.inspection import SandboxInspector
from control_plane.domain.registry.allowed_parameters import (
    AllowedParameters,
    in_force,
    put_in_force,
)
from control_plane.domain.signature import Signature, Tensor
from control_plane.ports.inspection import InvalidModelError
from tests.support.artifacts import lying
from tests.support.hostile import GOOD_PYTHON, entry, external, good_onnx, tar_of, zip_of

TAKES_X = Signature((Tensor("x", "FP32", (-1, 4)),), (Tensor("y", "FP32", (-1, 2)),))
XY = Signature((Tensor("x", "FP32", (-1, 4)),), (Tensor("y", "FP32", (-1, 4)),))
TWO = b"\x00\x00\x00\x40"  # 2.0 as FP32


@pytest.fixture
def inspector(tmp_path: Path) -> SandboxInspector:
    return SandboxInspector(tmp_path / "scratch", max_bytes=1 << 30)


class Linear(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


GOLDEN = {"inputs": {"x": [[1.0, 2.0, 3.0, 4.0]]}, "outputs": {"y": [[2.0, 4.0, 6.0, 8.0]]}}


@pytest.mark.parametrize("kind", ["zip", "zip in a folder", "tar.gz"])
def test_onnx_with_its_weights_beside_it(
    inspector: SandboxInspector, tmp_path: Path, kind: str
) -> None:
    model = external("weights.bin")
    path = tmp_path / "upload"
    if kind == "tar.gz":
        members = (entry("./model.onnx"), model), (entry("./weights.bin"), TWO)
        path.write_bytes(tar_of(*members, mode="w:gz"))
    else:
        folder = "m/" if "folder" in kind else ""
        path.write_bytes(zip_of({f"{folder}model.onnx": model, f"{folder}weights.bin": TWO}))
    with inspector.inspect(path, "onnx") as found:
        assert found.signature == XY
        assert set(found.files) == {"model.onnx", "weights.bin"}
        assert found.code == ()
        assert inspector.check_loads(lying(found.files), "onnx", XY, (GOLDEN,)) == ()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_golden_example_that_fails_says_which_value(
    inspector: SandboxInspector, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(good_onnx().SerializeToString())
    wrong = {**GOLDEN, "outputs": {"y": [[2.0, 4.0, 6.5, 8.0]]}}
    with pytest.raises(InvalidModelError) as refusal:
        inspector.check_loads(lying({"model.onnx": path}), "onnx", XY, (GOLDEN, wrong))
    assert str(refusal.value) == (
        "golden example 2 of 2: y[0, 2] is 6, and 6.5 was expected (tolerance 0.0001)"
    )


def test_a_runtime_that_cannot_load_it_says_why(
    inspector: SandboxInspector, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(InvalidModelError, match="ONNX Runtime cannot load it"):
        inspector.check_loads(lying({"model.onnx": path}), "onnx", XY)


def test_parameters_off_the_list_are_taken_where_an_operator_allows_them(
    inspector: SandboxInspector, tmp_path: Path
) -> None:
    config = b'parameters { key: "session.a" value { string_value: "1" } }'
    path = tmp_path / "upload.zip"
    model = good_onnx().SerializeToString()
    path.write_bytes(zip_of({"model.onnx": model, "config.pbtxt": config}))
    refusal = r"NEREID_ALLOW_PARAMETERS=onnx:session\.a"
    with (
        pytest.raises(InvalidModelError, match=refusal),
        inspector.inspect(path, "onnx"),
    ):
        pass
    before = in_force()
    put_in_force(AllowedParameters.of("onnx:session.*"))
    try:
        with inspector.inspect(path, "onnx") as found:
            assert found.parameters == {"session.a": "1"}
    finally:
        put_in_force(before)


# PyTorch would rather have torch.export; people have TorchScript files all the same.
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_torchscript_takes_the_signature_that_is_given(
    inspector: SandboxInspector, tmp_path: Path
) -> None:
    path = tmp_path / "upload.pt"
    torch.jit.save(torch.jit.script(Linear().eval()), path)
    with inspector.inspect(path, "pytorch", TAKES_X) as found:
        assert found.signature == TAKES_X
        assert found.code == ("a TorchScript program",)
        assert set(found.files) == {"model.pt"}
        inspector.check_loads(lying(found.files), "pytorch", TAKES_X)
        wrong = Signature(TAKES_X.inputs, (Tensor("y", "FP32", (-1, 3)),))
        with pytest.raises(InvalidModelError, match=r"'y' is FP32\[1, 2\]"):
            inspector.check_loads(lying(found.files), "pytorch", wrong)
    with pytest.raises(InvalidModelError, match="signature"), inspector.inspect(path, "pytorch"):
        pass


def test_an_exported_program_says_all_by_itself(
    inspector: SandboxInspector, tmp_path: Path
) -> None:
    path = tmp_path / "upload.pt2"
    rows = torch.export.Dim("rows", min=1, max=64)
    program = torch.export.export(
        Linear().eval(), (torch.zeros(2, 4),), dynamic_shapes=({0: rows},)
    )
    torch.export.save(program, path)
    with inspector.inspect(path, "pytorch") as found:
        outputs = (Tensor("OUTPUT__0", "FP32", (-1, 2)),)
        assert found.signature == Signature(TAKES_X.inputs, outputs)
        assert found.code == ("a torch.export program",)
        assert set(found.files) == {"model.pt2"}


def test_a_python_model_is_parsed_and_its_config_is_its_signature(
    inspector: SandboxInspector, tmp_path: Path
) -> None:
    config = b"""
        max_batch_size: 8
        input { name: "x" data_type: TYPE_FP32 dims: 4 }
        output { name: "y" data_type: TYPE_FP32 dims: 2 }
        parameters { key: "threshold" value { string_value: "0.5" } }
        parameters { key: "EXECUTION_ENV_PATH"
                     value { string_value: "$$TRITON_MODEL_DIRECTORY/env.tar.gz" } }
    """
    source = b"open('/tmp/nereid-was-run', 'w')\n" + GOOD_PYTHON
    path = tmp_path / "upload.zip"
    path.write_bytes(
        zip_of({"model.py": source, "config.pbtxt": config, "env.tar.gz": b"\x1f\x8b"})
    )
    with inspector.inspect(path, "python") as found:
        assert found.signature == TAKES_X
        assert found.code == ("Python code", "an execution environment")
        inspector.check_loads(lying(found.files), "python", TAKES_X)
    assert not Path("/tmp/nereid-was-run").exists()  # noqa: S108 - nothing runs a model.py

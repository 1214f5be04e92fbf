"""Models for servers of NVIDIA's: looked at as every upload is, and run by nobody here."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.adapters.inspection import SandboxInspector
from control_plane.domain.signature import Signature, Tensor
from control_plane.ports.inspection import InvalidModelError
from tests.support.artifacts import lying
from tests.support.hostile import zip_of

XY = Signature((Tensor("x", "FP32", (-1, 4)),), (Tensor("y", "FP32", (-1, 4)),))
IR = b'<net name="m" version="11"><layers><layer id="0" type="Const"/></layers></net>'
SAVED = "model.savedmodel/saved_model.pb"
WEIGHTS = "variables/variables.index"


@pytest.fixture
def inspector(tmp_path: Path) -> SandboxInspector:
    return SandboxInspector(tmp_path / "scratch", max_bytes=1 << 30)


@pytest.mark.parametrize(
    ("framework", "content", "files", "code"),
    [
        ("tensorrt", b"engine", {"model.plan"}, ("a TensorRT engine",)),
        ("dali", b"pipeline", {"model.dali"}, ("a DALI pipeline",)),
        ("vllm", b'{"model": "facebook/opt-125m"}', {"model.json"}, ("a vLLM configuration",)),
        ("tensorflow", b"graph", {"model.graphdef"}, ("a TensorFlow graph",)),
        # A SavedModel is a folder, and comes with that folder or as what is in it.
        (
            "tensorflow",
            {SAVED: b"graph", f"model.savedmodel/{WEIGHTS}": b"w"},
            {SAVED, f"model.savedmodel/{WEIGHTS}"},
            ("a TensorFlow graph",),
        ),
        (
            "tensorflow",
            {"saved_model.pb": b"graph", WEIGHTS: b"w"},
            {SAVED, f"model.savedmodel/{WEIGHTS}"},
            ("a TensorFlow graph",),
        ),
        ("openvino", {"model.xml": IR, "model.bin": b"w"}, {"model.xml", "model.bin"}, ()),
    ],
)
def test_files_are_named_as_triton_wants_them(
    inspector: SandboxInspector,
    tmp_path: Path,
    framework: str,
    content: bytes | dict[str, bytes],
    files: set[str],
    code: tuple[str, ...],
) -> None:
    path = tmp_path / "upload"
    path.write_bytes(content if isinstance(content, bytes) else zip_of(content))
    with inspector.inspect(path, framework, XY) as found:
        assert found.signature == XY
        assert set(found.files) == files
        assert found.code == code
        assert inspector.check_loads(lying(found.files), framework, XY) == ()


@pytest.mark.parametrize(
    ("framework", "content", "reason"),
    [
        ("tensorrt", b"", "the file is empty"),
        ("vllm", b"{", "no JSON"),
        ("vllm", b'{"tensor_parallel_size": 2}', "no engine arguments"),
        ("openvino", b"<net", "no XML"),
        ("openvino", b"<svg/>", "no OpenVINO graph: it begins with <svg>"),
        ("openvino", IR, "no model.bin beside it"),
        ("dali", zip_of({"dali.py": b"import os"}), "holds no model.dali"),
    ],
)
def test_what_is_no_such_model_is_refused(
    inspector: SandboxInspector, tmp_path: Path, framework: str, content: bytes, reason: str
) -> None:
    path = tmp_path / "upload"
    path.write_bytes(content)
    with (
        pytest.raises(InvalidModelError, match=reason),
        inspector.inspect(path, framework, XY),
    ):
        pass


def test_somebody_has_to_say_what_it_takes_and_gives(
    inspector: SandboxInspector, tmp_path: Path
) -> None:
    path = tmp_path / "model.plan"
    path.write_bytes(b"engine")
    with (
        pytest.raises(InvalidModelError, match="name it as `signature`"),
        inspector.inspect(path, "tensorrt"),
    ):
        pass

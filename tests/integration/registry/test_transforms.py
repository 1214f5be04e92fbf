"""Transforms as uploads: read and run by the locked-in reader, and data for whoever publishes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from control_plane.adapters.inspection import SandboxInspector
from control_plane.domain.signature import Signature, Tensor
from control_plane.ports.inspection import InvalidModelError
from tests.support.artifacts import lying
from tests.support.hostile import entry, tar_of, zip_of

SAMPLES = Path("model_repository/samples/digits")
LABELLED = b"""
inputs: [{name: scores, datatype: FP32, dims: [3]}]
steps:
  - op: argmax
    inputs: scores
    outputs: {index: at, label: best}
    options: {labels: {file: names/labels.txt}}
outputs: [best, {name: class, from: at}]
"""
SIGNATURE = Signature(
    (Tensor("scores", "FP32", (-1, 3)),),
    (Tensor("best", "BYTES", (-1, 1)), Tensor("class", "INT64", (-1, 1))),
)
GOLDEN = {
    "inputs": {"scores": [[0.1, 0.7, 0.2], [5, 1, 1]]},
    "outputs": {"best": [["Köln"], ["Bonn"]], "class": [[1], [0]]},
}


@pytest.fixture
def inspector(tmp_path: Path) -> SandboxInspector:
    return SandboxInspector(tmp_path / "scratch", max_bytes=1 << 30)


def test_a_file_alone_says_its_signature(inspector: SandboxInspector) -> None:
    with inspector.inspect(SAMPLES / "from_png.transform.yaml", "transform") as found:
        assert found.signature == Signature(
            (Tensor("png", "BYTES", (-1, 1)),), (Tensor("image", "FP32", (-1, 1, 8, 8)),)
        )
        assert (found.code, set(found.files)) == ((), {"transform.yaml"})
        assert inspector.check_loads(lying(found.files), "transform", found.signature) == ()


def test_json_is_kept_as_json(inspector: SandboxInspector, tmp_path: Path) -> None:
    document = {
        "inputs": [{"name": "x", "datatype": "FP32", "dims": [2]}],
        "steps": [{"op": "clip", "inputs": "x", "outputs": "y", "options": {"min": 0}}],
        "outputs": ["y"],
    }
    path = tmp_path / "upload"
    path.write_text(json.dumps(document))
    with inspector.inspect(path, "transform") as found:
        assert set(found.files) == {"transform.json"}
        inspector.check_loads(lying(found.files), "transform", found.signature)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_files_beside_it_come_in_an_archive(
    inspector: SandboxInspector, tmp_path: Path, kind: str
) -> None:
    members = {"transform.yaml": LABELLED, "names/labels.txt": "Bonn\nKöln\nUlm\n".encode()}
    path = tmp_path / "upload"
    if kind == "zip":
        path.write_bytes(zip_of(members))
    else:
        path.write_bytes(tar_of(*((entry(n), c) for n, c in members.items()), mode="w:gz"))
    with inspector.inspect(path, "transform") as found:
        assert found.signature == SIGNATURE
        assert set(found.files) == set(members)
        inspector.check_loads(lying(found.files), "transform", SIGNATURE, (GOLDEN,))
        wrong = {**GOLDEN, "outputs": {"best": [["Köln"], ["Ulm"]]}}
        with pytest.raises(InvalidModelError, match=r"best\[1, 0\] is 'Bonn', and 'Ulm' was"):
            inspector.check_loads(lying(found.files), "transform", SIGNATURE, (wrong,))


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"transform.yaml": LABELLED}, "step 1 (argmax): the file 'names/labels.txt' is not"),
        ({"labels.txt": b"a"}, "the archive holds no transform.yaml or transform.json"),
        (
            {"transform.yaml": LABELLED, "run.py": b"1"},
            "a transform is data, and the archive holds",
        ),
        (
            {"transform.yaml": LABELLED, "names/labels.txt": b"a\nb\n"},
            "step 1 (argmax): the tensor 'scores' is FP32[3], and there are 2 labels for 3",
        ),
        (
            {"transform.yaml": LABELLED, "config.pbtxt": b'backend: "python"'},
            "backend 'python' does not serve the framework transform",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_with_its_step(
    inspector: SandboxInspector, tmp_path: Path, members: dict[str, bytes], says: str
) -> None:
    path = tmp_path / "upload.zip"
    path.write_bytes(zip_of(members))
    with pytest.raises(InvalidModelError) as error, inspector.inspect(path, "transform"):
        pass
    assert says in str(error.value)

"""Hostile files: each a clear no, and nothing of it stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from control_plane.registry.models import Artifact, ModelVersion
from tests.integration.api.conftest import Api
from tests.integration.api.test_registry_api import problem
from tests.support.hostile import GOOD_PYTHON, SIGNATURE, Hostile, good_onnx, hostile_files, zip_of

HOSTILE = hostile_files()


def left_behind() -> list[Path]:
    root = settings.NEREID_ARTIFACTS
    return sorted(path for path in root.rglob("*") if path.is_file()) if root.exists() else []


def send(api: Api, folder: Path, file: Hostile) -> Any:
    path = folder / file.name
    path.write_bytes(file.content)
    return api.upload("target", path, {"framework": file.framework, **file.metadata})


def test_there_are_many_of_them() -> None:
    assert len({file.name for file in HOSTILE}) == len(HOSTILE) >= 50


@pytest.mark.parametrize("file", HOSTILE, ids=lambda file: file.name)
def test_a_hostile_file_is_refused_in_words_and_leaves_nothing(
    api: Api, tmp_path: Path, file: Hostile
) -> None:
    api.post("models/", {"name": "target"})
    before = left_behind()
    response = send(api, tmp_path, file)
    assert problem(response, file.status) == {"/artifact": "invalid_model"}
    detail = response.json()["errors"][0]["detail"]
    assert file.word in detail
    assert "Traceback" not in detail
    assert str(settings.NEREID_ARTIFACTS) not in detail, "nobody outside learns our paths"
    assert not ModelVersion.objects.exists()
    assert not Artifact.objects.exists()
    assert left_behind() == before
    assert not list(Path("/tmp").glob("escaped*"))  # noqa: S108


CODE = {
    "script.py": ("python", GOOD_PYTHON),
    "library.zip": (
        "onnx",
        zip_of({"model.onnx": good_onnx().SerializeToString(), "ops.so.1": b"\x7fELF"}),
    ),
    "environment.zip": (
        "onnx",
        zip_of({"model.onnx": good_onnx().SerializeToString(), "env.tar.gz": b"\x1f\x8b"}),
    ),
    "module.zip": (
        "onnx",
        zip_of({"model.onnx": good_onnx().SerializeToString(), "lib/run.py": b"1"}),
    ),
    "agent.zip": (
        "onnx",
        zip_of(
            {
                "model.onnx": good_onnx().SerializeToString(),
                "config.pbtxt": b'model_repository_agents { agents [{ name: "decrypt" }] }',
            }
        ),
    ),
    "program.pt": ("pytorch", b"PK"),
}


@pytest.mark.parametrize("name", CODE)
def test_what_can_carry_code_needs_the_permission(
    api: Api, publisher: Api, tmp_path: Path, name: str
) -> None:
    api.post("models/", {"name": "target"})
    before = left_behind()
    framework, content = CODE[name]
    metadata = {"signature": SIGNATURE}
    response = send(publisher, tmp_path, Hostile(name, content, "", framework, metadata))
    problem(response, 403)
    assert "registry.publish_code" in response.json()["detail"]
    assert not ModelVersion.objects.exists()
    assert left_behind() == before


def test_with_the_permission_it_is_taken(api: Api, tmp_path: Path) -> None:
    api.post("models/", {"name": "target"})
    metadata = {"signature": SIGNATURE}
    response = send(api, tmp_path, Hostile("m.py", GOOD_PYTHON, "", "python", metadata))
    assert response.status_code == 202, response.content
    assert response.json()["code"] == ["Python code"]


def test_a_transform_is_data_and_needs_no_permission_for_code(
    api: Api, publisher: Api, tmp_path: Path
) -> None:
    api.post("models/", {"name": "target"})
    sample = Path("model_repository/samples/digits/top3.transform.yaml")
    file = Hostile("top3.transform.yaml", sample.read_bytes(), "", "transform")
    response = send(publisher, tmp_path, file)
    assert response.status_code == 202, response.content
    assert response.json()["code"] == []
    [given] = response.json()["signature"]["inputs"]
    assert given == {"name": "logits", "datatype": "FP32", "shape": [-1, 10]}


def test_metadata_that_lies_about_the_file(api: Api, tmp_path: Path) -> None:
    api.post("models/", {"name": "target"})
    content = good_onnx().SerializeToString()
    other = {**SIGNATURE, "outputs": [{"name": "z", "datatype": "FP32", "shape": [-1, 4]}]}
    lie = Hostile("m.onnx", content, "", metadata={"signature": other})
    assert problem(send(api, tmp_path, lie), 400) == {"/artifact": "invalid_model"}
    for signature in ({}, {"inputs": [], "outputs": []}, {**SIGNATURE, "inputs": [{"name": 1}]}):
        odd = Hostile("m.onnx", content, "", metadata={"signature": signature})
        assert any(p.startswith("/signature") for p in problem(send(api, tmp_path, odd), 400))

"""What goes with a version in the words of Triton's configuration: checked, kept, and served."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from control_plane.adapters.triton.pbtxt import config_text
from control_plane.domain.planning.compiled_version import physical_directory
from control_plane.registry.models import ModelVersion
from control_plane.registry.selectors import ready_versions, version_specs
from tests.integration.api.conftest import SAMPLES, Api
from tests.integration.api.test_registry_api import problem

CONFIG = {
    "input": [{"name": "image", "dims": [64], "optional": True}],
    "output": [{"name": "logits", "label_filename": "labels.txt"}],
    "version_policy": {"specific": {"versions": [7]}},
    "parameters": {"intra_op_thread_count": {"string_value": "2"}},
}
FP32 = {"data_type": "TYPE_FP32"}
LABELS = {"__model__/labels.txt": b"0\n1\n", "__model__/configs/big.pbtxt": b""}


def archive(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "model.tar"
    whole = {"model.onnx": (SAMPLES / "v1/model.onnx").read_bytes(), **files}
    with tarfile.open(path, "w") as made:
        for name, content in whole.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return path


def labelled(file: str) -> dict[str, str]:
    return {"name": "logits", "label_filename": file}


def push(api: Api, folder: Path, config: Any, files: dict[str, bytes] = LABELS) -> Any:
    api.post("models/", {"name": "m"})
    return api.upload("m", archive(folder, files), {"model_config": config})


def test_it_is_kept_shown_and_compiled(api: Api, tmp_path: Path) -> None:
    response = push(api, tmp_path, CONFIG)
    assert response.status_code == 202, response.json()
    shown = response.json()
    assert shown["model_config"] == {k: v for k, v in CONFIG.items() if k != "parameters"}
    assert shown["parameters"] == {"intra_op_thread_count": "2"}
    ModelVersion.objects.update(state="ready")
    [spec] = version_specs(ready_versions([("m", 1)])).values()
    made = physical_directory(spec)
    config = made.variants["cpu"]
    assert config["input"] == [
        {
            "name": "image",
            "data_type": "TYPE_FP32",
            "dims": ["64"],
            "reshape": {"shape": ["1", "8", "8"]},
            "optional": True,
        }
    ]
    assert config["output"][0]["label_filename"] == "labels.txt"
    # Of each physical model there is one version, and configurations by name are not for it.
    assert "version_policy" not in config
    assert set(made.links) == {"1/model.onnx", "labels.txt"}
    assert spec.callers.inputs[0].shape == (-1, 64)


@pytest.mark.parametrize(
    ("config", "pointer"),
    [
        ([], "/model_config"),
        ({"dynamic_batching": {}}, "/model_config/dynamic_batching"),
        ({"input": [{"name": "x"}]}, "/model_config/input/0/name"),
        ({"input": [{"name": "image"}] * 2}, "/model_config/input/1/name"),
        ({"output": [labelled("../x")]}, "/model_config/output/0/label_filename"),
        ({"output": [labelled("no.txt")]}, "/model_config"),
        ({"version_policy": {"all": {}, "latest": {}}}, "/model_config/version_policy"),
        ({"parameters": {"own": {"string_value": "1"}}}, "/model_config/parameters"),
        ({"parameters": {"own": 1}}, "/model_config/parameters"),
        ({"batch_input": [{"target_name": ["x"], **FP32}]}, "/model_config/batch_input"),
        ({"cc_model_filenames": {"7.5": "no.onnx"}}, "/model_config/cc_model_filenames"),
        ({"cc_model_filenames": {"75": "model.onnx"}}, "/model_config/cc_model_filenames/75/[key]"),
        ({"backend": "fil"}, "/model_config/backend"),
        ({"runtime": "lib/own.so"}, "/model_config/runtime"),
        (
            {"model_repository_agents": {"agents": []}},
            "/model_config/model_repository_agents/agents",
        ),
        (
            {"model_operations": {"op_library_filename": ["no.so"]}},
            "/model_config/model_operations/op_library_filename",
        ),
        (
            {"model_warmup": [{"name": "w", "inputs": {"x": {**FP32, "dims": [1]}}}]},
            "/model_config/model_warmup/0/inputs/x",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(
    api: Api, tmp_path: Path, config: Any, pointer: str
) -> None:
    assert pointer in problem(push(api, tmp_path, config), 400)
    assert not ModelVersion.objects.exists()


@pytest.mark.parametrize(
    "name", ["config.pbtxt", "golden.json", "2/model.onnx", "007/x", "warmup/golden-0-0"]
)
def test_an_archive_writes_nothing_over_what_is_nereids(
    api: Api, tmp_path: Path, name: str
) -> None:
    response = push(api, tmp_path, {}, {f"__model__/{name}": b"{}"})
    assert problem(response, 400) == {"/artifact": "invalid_model"}


def test_code_beside_the_versions_takes_the_permission_to_publish_it(
    publisher: Api, api: Api, tmp_path: Path
) -> None:
    api.post("models/", {"name": "m"})
    path = archive(tmp_path, {"__model__/setup.py": b"print()"})
    problem(publisher.upload("m", path, {}), 403)


@pytest.mark.parametrize(
    "config",
    [{"runtime": "own.so"}, {"model_repository_agents": {"agents": [{"name": "checksum"}]}}],
    ids=lambda one: next(iter(one)),
)
def test_so_does_naming_what_a_server_is_to_run(
    publisher: Api, api: Api, tmp_path: Path, config: dict[str, Any]
) -> None:
    api.post("models/", {"name": "m"})
    path = archive(tmp_path, {})
    problem(publisher.upload("m", path, {"model_config": config}), 403)
    assert api.upload("m", path, {"model_config": config}).status_code == 202
    ModelVersion.objects.update(state="ready")
    [spec] = version_specs(ready_versions([("m", 1)])).values()
    assert ("own.so" if "runtime" in config else "checksum") in spec.unserved


def test_libraries_that_nobody_names_are_those_of_the_operators(api: Api, tmp_path: Path) -> None:
    shown = push(api, tmp_path, {}, {"ops.so": b"\x7fELF", "__model__/other.so": b"\x7fELF"}).json()
    assert shown["model_config"] == {"model_operations": {"op_library_filename": ["ops.so"]}}
    ModelVersion.objects.update(state="ready")
    [spec] = version_specs(ready_versions([("m", 1)])).values()
    made = physical_directory(spec)
    assert f'"{made.name}/1/ops.so"' in config_text(made.name, made.variants["cpu"])


def test_less_may_be_said_than_the_file_can(api: Api, tmp_path: Path) -> None:
    api.post("models/", {"name": "m"})
    image = {"name": "image", "datatype": "FP32", "shape": [4, 1, 8, 8]}
    logits = {"name": "logits", "datatype": "FP32", "shape": [4, 10]}
    said = {"inputs": [image], "outputs": [logits]}
    response = api.upload("m", SAMPLES / "v1/model.onnx", {"signature": said})
    assert response.json()["signature"] == {**said, "batched": False}
    wider = {**image, "shape": [-1, -1, 8, 8]}
    refused = api.upload("m", SAMPLES / "v1/model.onnx", {"signature": {**said, "inputs": [wider]}})
    assert problem(refused, 400) == {"/artifact": "invalid_model"}

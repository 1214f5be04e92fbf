"""A TensorRT engine, from the push to the plan that says which server cannot run it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from control_plane import wiring
from control_plane.domain.planning.backends import Backend, BackendKind
from control_plane.fleet.models import Server
from control_plane.fleet.services import heartbeat
from control_plane.registry.models import ModelVersion
from control_plane.registry.validation import validate_version
from nereid.packing import Packed
from tests.integration.api.conftest import Api
from tests.integration.api.test_registry_api import problem
from tests.integration.api.test_servers_api import lab

SIGNATURE = {
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 3, 224, 224]}],
    "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 1000]}],
}
TENSORRT = {"framework": "tensorrt", "signature": SIGNATURE}


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "resnet.plan"
    path.write_bytes(b"an engine")
    return path


def equip(*names: str) -> None:
    backends = [Backend(name, BackendKind.NATIVE) for name in names]
    said: dict[str, Any] = {"name": "lab-1", "ready": True, "reason": "", "triton_version": ""}
    heartbeat(now=wiring.clock().now(), held=[], backends=backends, **said)


def test_an_engine_goes_where_its_backend_is(api: Api, plan_file: Path) -> None:
    lab(seconds_ago=1)
    Server.objects.update(accelerator="gpu")
    equip("traffic", "onnxruntime")
    api.post("models/", {"name": "resnet"})
    pushed = api.upload("resnet", plan_file, TENSORRT)
    assert pushed.status_code == 202, pushed.content
    version = validate_version(
        version_id=ModelVersion.objects.get().id,
        store=wiring.artifact_store(),
        inspector=wiring.inspector(),
        clock=wiring.clock(),
    )
    assert (version.state, version.code) == ("ready", ["a TensorRT engine"])
    assert "only a server with tensorrt" in version.state_reason
    api.post("endpoints/", {"name": "resnet"})
    policy = {"arms": [{"model": "resnet", "version": 1, "weight": 100}]}
    refused = api.post("endpoints/resnet/plan/", policy)
    problem(refused, 400)
    assert "server lab-1 has no backend tensorrt" in refused.json()["errors"][0]["detail"]
    equip("traffic", "tensorrt")
    planned = api.post("endpoints/resnet/plan/", policy)
    assert planned.status_code == 200, planned.content
    assert 'backend: "tensorrt"' in planned.json()["diff"]
    assert "/1/model.plan" in planned.json()["diff"]


def test_a_backend_of_its_own_may_need_no_file(api: Api, tmp_path: Path) -> None:
    lab(seconds_ago=1)
    equip("traffic", "identity")
    api.post("models/", {"name": "passes"})
    said = {"framework": "custom", "signature": SIGNATURE, "model_config": {"backend": "identity"}}
    nothing = Packed({}, alone=False)
    with nothing.file() as path:
        pushed = api.upload("passes", path, said)
        assert pushed.status_code == 202, pushed.content
        refused = api.upload("passes", path, {"framework": "onnx"})
        problem(refused, 400)
        assert "no model.onnx" in refused.json()["errors"][0]["detail"]
    version = validate_version(
        version_id=ModelVersion.objects.get().id,
        store=wiring.artifact_store(),
        inspector=wiring.inspector(),
        clock=wiring.clock(),
    )
    assert version.state == "ready", version.state_reason
    exported = api.get("models/passes/versions/1/export/").json()
    assert (exported["files"], exported["artifact"]) == ([], nothing.sha256())
    api.post("endpoints/", {"name": "passes"})
    policy = {"arms": [{"model": "passes", "version": 1, "weight": 100}]}
    planned = api.post("endpoints/passes/plan/", policy)
    assert planned.status_code == 200, planned.content
    assert "sha256:" not in planned.json()["diff"]


def test_a_file_without_an_archive_is_the_model_of_a_backend_of_its_own(
    api: Api, plan_file: Path
) -> None:
    api.post("models/", {"name": "forest"})
    said = {"framework": "custom", "signature": SIGNATURE, "model_config": {"backend": "fil"}}
    assert api.upload("forest", plan_file, said).status_code == 202
    validate_version(
        version_id=ModelVersion.objects.get().id,
        store=wiring.artifact_store(),
        inspector=wiring.inspector(),
        clock=wiring.clock(),
    )
    [file] = api.get("models/forest/versions/1/export/").json()["files"]
    assert file["path"] == "1/model"


def test_a_signature_has_to_be_given_and_to_be_one(api: Api, plan_file: Path) -> None:
    api.post("models/", {"name": "resnet"})
    missing = api.upload("resnet", plan_file, {"framework": "tensorrt"})
    problem(missing, 400)
    assert "name it as `signature`" in missing.json()["errors"][0]["detail"]
    shapeless = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [0]}], "outputs": []}
    problem(api.upload("resnet", plan_file, {**TENSORRT, "signature": shapeless}), 400)
    assert not ModelVersion.objects.exists()


def test_an_engine_is_code_and_an_openvino_graph_is_not(
    api: Api, publisher: Api, plan_file: Path
) -> None:
    api.post("models/", {"name": "resnet"})
    problem(publisher.upload("resnet", plan_file, TENSORRT), 403)
    graph = plan_file.with_name("model.xml")
    graph.write_bytes(b'<net name="m" version="11"/>')
    said = {"framework": "openvino", "signature": SIGNATURE}
    assert publisher.upload("resnet", graph, said).status_code == 202

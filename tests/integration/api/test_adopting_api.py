"""A process's model as a version: who may adopt it, from where, and what is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import override_settings

from control_plane import wiring
from control_plane.domain.registry.remote import AllowedRemotes, RemoteModel
from control_plane.domain.signature import Signature, Tensor
from control_plane.ports.remotes import DescribedRemote, RemoteFailedError
from control_plane.registry.models import ModelVersion
from control_plane.registry.validation import validate_version
from tests.integration.api.conftest import SAMPLES, Api
from tests.integration.api.test_registry_api import problem
from tests.integration.api.test_servers_api import lab

DOUBLE = Signature((Tensor("x", "FP32", (-1, -1)),), (Tensor("y", "FP32", (-1, -1)),))
SOURCE = "grpc://127.0.0.1:47111/double"


class Notebook:
    """Stands for processes: one at port 47111 serves `double`, eight rows at a time."""

    def __init__(self) -> None:
        self.asked: list[RemoteModel] = []

    def describe(self, remote: RemoteModel) -> DescribedRemote:
        self.asked.append(remote)
        if (remote.port, remote.model) != (47111, "double"):
            raise RemoteFailedError(f"no process answers at {remote.address}: start it first")
        return DescribedRemote(DOUBLE, 8)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    one = Notebook()
    monkeypatch.setattr(wiring, "remotes", lambda: one)
    return one


def adopt(api: Api, **said: Any) -> Any:
    return api.post("models/times/versions/", {"source": SOURCE, **said})


def test_a_process_is_asked_and_its_address_kept(api: Api, notebook: Notebook) -> None:
    api.post("models/", {"name": "times"})
    answer = adopt(api, tags={"owner": "ada"})
    assert answer.status_code == 202, answer.content
    shown = answer.json()
    assert (shown["framework"], shown["source"]) == ("remote", SOURCE)
    assert shown["signature"] == DOUBLE.to_document()
    assert shown["code"] == ["a process of somebody's own"]
    # The profile's 64 rows are more than the process takes.
    assert shown["overrides"] == {"max_batch_size": 8}
    version = ModelVersion.objects.get()
    kept = json.loads(wiring.artifact_store().path(version.artifact_id or "").read_bytes())
    assert kept == {"address": "127.0.0.1:47111", "model": "double"}
    validated = validate_version(
        version_id=version.id,
        store=wiring.artifact_store(),
        inspector=wiring.inspector(),
        clock=wiring.clock(),
    )
    assert validated.state == "ready"
    assert SOURCE in validated.state_reason
    api.post("endpoints/", {"name": "times"})
    policy = {"arms": [{"model": "times", "version": 1, "weight": 100}]}
    diff = api.post("endpoints/times/plan/", policy).json()["diff"]
    assert 'backend: "remote"' in diff
    assert "max_batch_size: 8" in diff


def test_only_who_may_publish_code_adopts(api: Api, publisher: Api, notebook: Notebook) -> None:
    api.post("models/", {"name": "times"})
    problem(adopt(publisher), 403)
    assert notebook.asked == []


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({"source": "grpc://169.254.169.254:80/double"}, "/source"),
        ({"source": "grpc://127.0.0.1/double"}, "/source"),
        ({"framework": "onnx"}, "/framework"),
        ({"profile": "none"}, "/profile"),
        ({"overrides": {"max_batch_size": 16, "model_warmup": {"batch_sizes": [9]}}}, "/overrides"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_kept(
    api: Api, notebook: Notebook, said: dict[str, Any], pointer: str
) -> None:
    api.post("models/", {"name": "times"})
    answer = adopt(api, **said)
    problem(answer, 400)
    assert answer.json()["errors"][0]["pointer"].startswith(pointer)
    assert not ModelVersion.objects.exists()
    if pointer != "/overrides":
        assert notebook.asked == []


def test_an_address_has_to_be_allowed(api: Api, notebook: Notebook) -> None:
    api.post("models/", {"name": "times"})
    with override_settings(NEREID_REMOTE_ALLOW=AllowedRemotes.of("notebooks:47111")):
        problem(adopt(api), 400)
        assert notebook.asked == []
        there = adopt(api, source="grpc://notebooks:47111/double")
        assert there.status_code == 202, there.content


def test_a_process_that_does_not_answer_or_is_another_is_told(api: Api, notebook: Notebook) -> None:
    api.post("models/", {"name": "times"})
    away = adopt(api, source="grpc://127.0.0.1:47112/double")
    problem(away, 400)
    assert "start it first" in away.json()["errors"][0]["detail"]
    other = {**DOUBLE.to_document(), "outputs": [{"name": "z", "datatype": "FP32", "shape": [-1]}]}
    differing = adopt(api, signature=other)
    problem(differing, 400)
    assert differing.json()["errors"][0]["pointer"] == "/signature"


def test_a_server_of_the_fleet_is_no_process_to_adopt(api: Api, notebook: Notebook) -> None:
    lab(seconds_ago=1)
    api.post("models/", {"name": "times"})
    answer = adopt(api, source="grpc://localhost:2/double")  # lab-1's gRPC is 127.0.0.1:2
    problem(answer, 400)
    assert "the server 'lab-1' of this fleet" in answer.json()["errors"][0]["detail"]
    assert notebook.asked == []


def test_its_file_cannot_be_uploaded(api: Api) -> None:
    """So no address gets in that was not held against the list."""
    api.post("models/", {"name": "times"})
    answer = api.upload("times", SAMPLES / "images.json", {"framework": "remote"})
    problem(answer, 400)
    assert "grpc://HOST:PORT/MODEL" in answer.json()["errors"][0]["detail"]

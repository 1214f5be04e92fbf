"""The linter over the API: repositories, profiles and versions; nothing of it is kept."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.audit.models import AuditEvent
from control_plane.registry.models import Model, ModelVersion, Profile
from tests.integration.api.conftest import Api
from tests.integration.api.test_registry_api import problem

CONFIG = """
backend: "onnxruntime" max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: [ 4, 2 ] reshape { shape: [ 8 ] } }
output { name: "y" data_type: TYPE_FP32 dims: [ 2 ] label_filename: "labels.txt" }
dynamic_batching { max_queue_delay_microseconds: 20000 }
instance_group { count: 4 kind: KIND_CPU }
"""
MODEL = {
    "name": "ResNet 50",
    "config": CONFIG,
    "versions": {"1": ["model.onnx"]},
    "files": ["labels.txt"],
}
HERE = {"model": "m", "version": 5}


def lint(api: Api, *models: dict[str, Any], **body: Any) -> Any:
    response = api.post("lint/", {"models": list(models), **body})
    assert response.status_code == 200, response.json()
    return response.json()["results"]


def test_a_repository_is_judged_by_whoever_may_read_and_nothing_is_kept(reader: Api) -> None:
    [result] = lint(reader, MODEL, p99_ms=10, cores=2, gpus=0)
    assert result["findings"][0]["code"] == "delay-over-sla"
    assert "instances-over-cores" in [f["code"] for f in result["findings"]]
    becomes = result["becomes"]
    assert (becomes["name"], becomes["framework"], becomes["refused"]) == ("resnet-50", "onnx", [])
    assert becomes["signature"]["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 8]}]
    assert becomes["profile"]["dynamic_batching"] == {"max_queue_delay_microseconds": 20000}
    assert becomes["model_config"] == {
        "input": [{"name": "x", "dims": [4, 2]}],
        "output": [{"name": "y", "label_filename": "labels.txt"}],
        "version_policy": {"latest": {}},
    }
    for kept in (Model, ModelVersion, Profile):
        assert not kept.objects.exists()
    assert not AuditEvent.objects.filter(object_type="profile").exists()


def test_a_name_is_chosen_and_a_missing_file_is_told(reader: Api) -> None:
    [result] = lint(reader, {**MODEL, "files": []}, rename={"ResNet 50": "resnet"})
    assert result["becomes"]["name"] == "resnet"
    assert result["findings"][0]["code"] == "missing-labels"
    assert "labels.txt" in result["becomes"]["refused"][0]["detail"]


def test_a_member_that_is_here_is_named(reader: Api) -> None:
    maps = "input_map { key: 'x' value: 'x' } output_map { key: 'y' value: 'y' }"
    step = f"ensemble_scheduling {{ step {{ model_name: 'gone' model_version: -1 {maps} }} }}"
    tensors = "input { name: 'x' data_type: TYPE_FP32 dims: 4 } output { name: 'y' dims: 4 }"
    ensemble = {"name": "e", "config": f"{tensors} {step}", "versions": {"1": []}}
    [alone] = lint(reader, ensemble)
    assert [finding["code"] for finding in alone["findings"]] == ["unknown-member"]
    assert "--member gone=" in alone["becomes"]["refused"][0]["detail"]
    [result] = lint(reader, ensemble, members={"gone": HERE})
    assert (result["findings"], result["becomes"]["refused"]) == ([], [])
    [made] = result["becomes"]["pipeline"]["steps"]
    assert (made["model"], made["version"]) == ("m", 5)


def test_a_text_of_thousands_of_digits_is_a_text(reader: Api) -> None:
    config = f'{CONFIG} metric_tags {{ key: "build" value: "{"9" * 5000}" }}'
    [result] = lint(reader, {**MODEL, "config": config})
    assert all(one["pointer"].startswith("/metric_tags") for one in result["becomes"]["refused"])


def test_how_much_is_read_at_once_has_an_end(reader: Api) -> None:
    text = CONFIG + "#" * (1 << 19)
    models = [{**MODEL, "name": f"m{i}", "config": text} for i in range(8)]
    refused = problem(reader.post("lint/", {"models": models}), 400)
    assert refused == {"/models": "max_length"}


def test_what_cannot_be_read_is_a_finding_with_its_line(reader: Api) -> None:
    [result] = lint(reader, {**MODEL, "config": "backend: 'x'\nno_such_word: 1"})
    assert result["findings"][0]["code"] == "unreadable-config"
    assert "2:1" in result["findings"][0]["detail"]


def test_a_profile_is_judged_without_a_model(reader: Api) -> None:
    profile = {"max_batch_size": 8, "dynamic_batching": {"preferred_batch_size": [4]}}
    response = reader.post("lint/", {"profile": profile})
    [result] = response.json()["results"]
    assert [f["code"] for f in result["findings"]] == ["preferred-without-delay"]
    response = reader.post("lint/", {"profile": {"max_batch_size": -1, "words": 1}})
    [result] = response.json()["results"]
    assert {f["pointer"] for f in result["findings"]} == {"/max_batch_size", "/words"}


def test_a_version_is_judged_under_its_profile(digits: Api) -> None:
    response = digits.get("models/digits/versions/1/findings/")
    assert response.status_code == 200
    ModelVersion.objects.filter(number=1).update(state="archived", state_reason="old")
    problem(digits.get("models/digits/versions/1/findings/"), 409)
    problem(digits.get("models/digits/versions/9/findings/"), 404)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/models"),
        ({"models": [MODEL, MODEL]}, "/models/1/name"),
        ({"models": [{**MODEL, "versions": {"0": []}}]}, "/models/0/versions"),
        ({"models": [{**MODEL, "versions": {"01": []}}]}, "/models/0/versions"),
        ({"models": [{**MODEL, "config": 1}]}, "/models/0/config"),
        ({"models": [MODEL], "rename": {"x": "y"}}, "/rename"),
        ({"models": [MODEL], "rename": {"ResNet 50": "A B"}}, "/rename"),
        ({"models": [MODEL], "members": {"ResNet 50": HERE}}, "/members/ResNet 50"),
        ({"models": [MODEL], "members": {"a": {"model": "m"}}}, "/members/a/version"),
        ({"models": [MODEL], "members": {"a": {**HERE, "inputs": {}}}}, "/members/a/inputs"),
        ({"models": [MODEL], "members": {"a": "m:1"}}, "/members/a"),
        ({"models": [MODEL], "cores": 0}, "/cores"),
        (
            {"models": [{**MODEL, "name": str(i), "config": "#" * 1_000_000} for i in range(5)]},
            "/models",
        ),
        ({"models": [MODEL], "words": 1}, "/words"),
    ],
)
def test_bad_input(reader: Api, body: dict[str, Any], pointer: str) -> None:
    assert pointer in problem(reader.post("lint/", body), 400)

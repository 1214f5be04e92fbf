"""What nobody should send, and what is answered: never a 500, and nothing is stored."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, override_settings
from onnx import TensorProto, helper

from control_plane import wiring
from control_plane.registry.models import Artifact, Model, ModelVersion
from tests.integration.api.conftest import Api
from tests.integration.api.test_registry_api import ONNX, problem, stored_files
from tests.support.models import save_onnx

DEEP = "[" * 100_000 + "]" * 100_000


def raw(api: Api, method: str, path: str, body: str | bytes, kind: str = "application/json") -> Any:
    send = getattr(api._client, method)
    return send(f"/api/v1/{path}", data=body, content_type=kind, headers=api._headers)


@pytest.mark.parametrize(
    "path", ["models", "endpoints", "servers", "models/{}/versions", "endpoints/{}/policy"]
)
@pytest.mark.parametrize("name", ["%00", "a%00b", "a%0A", "%1f"])
def test_a_name_that_cannot_exist_is_not_found(digits: Api, path: str, name: str) -> None:
    path = path.format(name) if "{}" in path else f"{path}/{name}"
    problem(digits.get(path), 404)
    problem(digits.get("models/digits%0A"), 404)


@pytest.mark.parametrize(
    "path",
    [
        "models/",
        "models/digits/versions/",
        "endpoints/",
        "endpoints/digits/revisions/",
        "servers/",
        "audit/",
        "audit/?ordering=at&",
    ],
)
@pytest.mark.parametrize("position", ["p=abc", "p=\0", "p=%00", "%ff"])
def test_a_made_up_cursor(digits: Api, path: str, position: str) -> None:
    cursor = base64.b64encode(position.encode()).decode()
    response = digits.get(f"{path}{'' if '?' in path else '?'}cursor={cursor}")
    if path in ("models/", "endpoints/", "servers/") and position == "p=abc":
        assert response.status_code == 200  # a place between two names
        return
    if position == "%ff" and response.status_code == 200:
        return  # no position in it at all: the first page
    assert problem(response, 400) == {"/cursor": "invalid"}


def test_a_cursor_that_is_no_base64(digits: Api) -> None:
    assert problem(digits.get("models/?cursor=ä"), 400) == {"/cursor": "invalid"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ('{"name": "m", "description": "\\u0000"}', "/description"),
        ('{"name": "m", "description": "\\ud800"}', "/description"),
        ('{"name": "m", "owner": "\\u0000"}', "/owner"),
        ('{"name": "m", "tags": {"a": "\\u0000"}}', "/tags/a"),
        ('{"name": "m", "tags": {"\\u0000": "a"}}', "/tags"),
        ('{"name": "m", "tags": {"a": NaN}}', ""),
        ('{"name": "m", "tags": {"a": 1e999}}', "/tags/a"),
        (json.dumps({"name": "m", "description": "x" * 10_001}), "/description"),
        (json.dumps({"name": "m", "tags": {f"k{i}": "v" for i in range(65)}}), "/tags"),
        (json.dumps({"name": "m", "tags": {"k": "v" * 201}}), "/tags/k"),
        ('{"name": " m "}', "/name"),
        ('{"name": 123}', "/name"),
        ('{"name": "m", "description": 1}', "/description"),
        ('{"name": "m", "colour": "red"}', "/colour"),
        (DEEP, ""),
        ('{"a":' * 100 + "1" + "}" * 100, "/a" * 65),
        ("9" * 5000, ""),
        ("{", ""),
        ("[]", ""),
        (b"\xff", ""),
    ],
)
def test_a_body_that_cannot_be_kept(api: Api, body: str | bytes, pointer: str) -> None:
    assert pointer in problem(raw(api, "post", "models/", body), 400)
    assert not Model.objects.exists()


def test_what_is_changed_is_checked_like_what_is_made(digits: Api) -> None:
    assert "/tags/a" in problem(
        raw(digits, "patch", "models/digits/", '{"tags": {"a": "\\u0000"}}'), 400
    )
    assert "/name" in problem(digits.call("patch", "models/digits/", {"name": "other"}), 400)
    assert "/policy" in problem(digits.call("patch", "endpoints/digits/", {"policy": {}}), 400)
    assert "/nmae" in problem(digits.post("endpoints/", {"nmae": "x"}), 400)
    rollback = {"reason": "x" * 10_001}
    assert "/reason" in problem(digits.post("endpoints/digits/rollback/", rollback), 400)
    assert "/reason" in problem(
        raw(digits, "post", "endpoints/digits/rollback/", '{"reason": "\\u0000"}'), 400
    )
    assert digits.call("patch", "models/digits/", {}).status_code == 200


def test_a_policy_of_too_many_levels(digits: Api) -> None:
    response = digits._client.put(
        "/api/v1/endpoints/digits/policy/",
        data=DEEP,
        content_type="application/json",
        headers={**digits._headers, "If-Match": "*"},
    )
    problem(response, 400)


@pytest.mark.parametrize(
    ("metadata", "pointer"),
    [
        (DEEP, "/metadata"),
        ('{"provenance": {"a": "\\u0000"}}', "/metadata/provenance/a"),
        ('{"provenance": {"a": "\\udfff"}}', "/metadata/provenance/a"),
        ('{"metrics": {"\\u0000": 1}}', "/metadata/metrics"),
        ('{"metrics": {"a": NaN}}', "/metadata"),
        ('{"metrics": {"a": 1e999}}', "/metadata/metrics/a"),
        ('{"metrics": {"a": "nan"}}', "/metadata/metrics/a"),
        ('{"metrics": {"a/b": "0.9"}}', "/metadata/metrics/a~1b"),
        ('{"version": "7"}', "/metadata/version"),
        (json.dumps({"provenance": {"log": "x" * 70_000}}), "/metadata/provenance"),
    ],
)
def test_metadata_that_cannot_be_kept(api: Api, metadata: str, pointer: str) -> None:
    api.post("models/", {"name": "digits"})
    before = stored_files()
    assert pointer in problem(api.upload("digits", ONNX, metadata), 400)
    assert not ModelVersion.objects.exists()
    assert stored_files() == before


def tensor_names(path: Path, name: str, shape: list[int]) -> None:
    save_onnx(
        path,
        [helper.make_node("Identity", [name], ["y"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )


@pytest.mark.parametrize(
    ("name", "shape"),
    [("x\0y", [1]), ("x" * 256, [1]), ("x", [0, 4]), ("x", [-2, 4])],
    ids=["nul", "long", "nothing", "negative"],
)
@pytest.mark.django_db(transaction=True)
def test_a_model_that_triton_could_not_address(
    api: Api, tmp_path: Path, name: str, shape: list[int]
) -> None:
    api.post("models/", {"name": "digits"})
    before = stored_files()
    path = tmp_path / "model.onnx"
    tensor_names(path, name, shape)
    assert problem(api.upload("digits", path), 400) == {"/artifact": "invalid_model"}
    assert not Artifact.objects.exists()
    assert stored_files() == before


def test_a_file_that_an_upload_leaves_behind_is_discarded(api: Api, tmp_path: Path) -> None:
    api.post("models/", {"name": "digits"})
    api.upload("digits", ONNX, {"version": 999_999_999})
    before = sorted(stored_files())
    other = tmp_path / "model.onnx"
    tensor_names(other, "only_here", [3])
    problem(api.upload("digits", other, {"version": 999_999_999}), 409)
    assert sorted(stored_files()) == before
    problem(api.upload("digits", other), 409)
    assert sorted(stored_files()) == before
    # One that a version refers to stays, whoever else sends it.
    problem(api.upload("digits", ONNX, {"version": 999_999_999}), 409)
    assert wiring.artifact_store().path(Artifact.objects.get().sha256).is_file()


def test_a_body_over_the_limit(api: Api) -> None:
    api.post("models/", {"name": "digits"})
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=1000):
        problem(api.post("models/", {"name": "m", "description": "x" * 2000}), 413)
        problem(api.upload("digits", ONNX, {"provenance": {"a": "x" * 2000}}), 413)
    with override_settings(DATA_UPLOAD_MAX_NUMBER_FILES=1, DATA_UPLOAD_MAX_NUMBER_FIELDS=3):
        for form in (
            {f"f{i}": ONNX.open("rb") for i in range(3)},
            {f"f{i}": "x" for i in range(9)},
        ):
            path = "/api/v1/models/digits/versions/"
            problem(api._client.post(path, data=form, headers=api._headers), 400)
            for file in form.values():
                if not isinstance(file, str):
                    file.close()
    assert not ModelVersion.objects.exists()


def test_an_upload_over_the_limit(api: Api) -> None:
    api.post("models/", {"name": "digits"})
    before = stored_files()
    with override_settings(NEREID_MAX_UPLOAD_BYTES=ONNX.stat().st_size):
        response = api.upload("digits", ONNX)
    problem(response, 413)
    assert "NEREID_MAX_UPLOAD_BYTES" in response.json()["detail"]
    assert stored_files() == before


def test_bodies_are_json(digits: Api) -> None:
    form = "application/x-www-form-urlencoded"
    problem(raw(digits, "post", "models/", "name=m", form), 415)
    problem(raw(digits, "post", "endpoints/digits/plan/", "arms=1", form), 415)
    problem(raw(digits, "post", "models/digits/versions/", "source=x", form), 415)


def test_a_host_that_is_not_ours(db: None) -> None:
    response = Client().get("/api/v1/models/", headers={"Host": "evil.example"})
    problem(response, 400)


def test_a_method_that_a_resource_does_not_have(digits: Api, reader: Api) -> None:
    problem(reader.call("put", "models/", {}), 405)
    problem(reader.call("delete", "audit/"), 405)
    problem(reader.call("delete", "models/digits/"), 403)
    problem(Api(None).call("put", "models/", {}), 401)

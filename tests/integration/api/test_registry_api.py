import hashlib
from pathlib import Path
from typing import Any

import pytest
from django.test.utils import CaptureQueriesContext

from control_plane import wiring
from control_plane.registry.models import Artifact, Model, ModelVersion
from control_plane.registry.validation import validate_version
from tests.integration.api.conftest import SAMPLES, Api
from tests.support.fakes import FakeQueue

ONNX = SAMPLES / "v1/model.onnx"


def problem(response: Any, status: int) -> dict[str, str]:
    """Asserts a whole problem document; returns its errors as pointer -> code."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert set(body) == {
        "type",
        "title",
        "status",
        "detail",
        "instance",
        "request_id",
        "errors",
    }
    assert body["status"] == status
    assert body["detail"]
    assert body["request_id"] == response["X-Request-Id"]
    return {error["pointer"]: error["code"] for error in body["errors"]}


def test_a_model_is_made_and_read(api: Api) -> None:
    made = api.post("models/", {"name": "digits", "description": "8 x 8", "tags": {"team": "x"}})
    assert made.status_code == 201
    assert made["Location"].endswith("/api/v1/models/digits")
    body = api.get("models/digits").json()
    assert body["owner"] == body["created_by"] == "ada"
    assert body["latest_version"] is None
    assert [m["name"] for m in api.get("models/?search=8 x").json()["results"]] == ["digits"]


def test_a_model_is_changed_and_removed(api: Api) -> None:
    api.post("models/", {"name": "digits"})
    assert api.call("patch", "models/digits/", {"owner": "eve"}).json()["owner"] == "eve"
    assert api.call("delete", "models/digits/").status_code == 204
    assert api.get("models/digits/").status_code == 404


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "Digits", "x" * 64, "../../etc"])
def test_names_that_break_the_rule(api: Api, name: str) -> None:
    assert "/name" in problem(api.post("models/", {"name": name}), 400)
    assert "/name" in problem(api.post("endpoints/", {"name": name}), 400)
    assert not Model.objects.exists()


def test_a_name_is_taken_once(api: Api) -> None:
    api.post("models/", {"name": "digits"})
    problem(api.post("models/", {"name": "digits"}), 409)


def test_an_upload_is_stored_by_its_content(api: Api, queue: FakeQueue) -> None:
    api.post("models/", {"name": "digits"})
    digest = hashlib.sha256(ONNX.read_bytes()).hexdigest()
    metadata = {
        "framework": "onnx",
        "sha256": digest,
        "metrics": {"accuracy": 0.9},
        "provenance": {"git_commit": "9f2c"},
    }
    response = api.upload("digits", ONNX, metadata)
    assert response.status_code == 202, response.content
    body = response.json()
    assert (body["version"], body["state"]) == (1, "validating")
    assert body["artifact"] == {
        "sha256": digest,
        "size": ONNX.stat().st_size,
        "filename": "model.onnx",
    }
    assert body["signature"]["inputs"] == [
        {"name": "image", "datatype": "FP32", "shape": [-1, 1, 8, 8]}
    ]
    assert body["metrics"] == {"accuracy": 0.9}
    assert response["Location"] == body["status_url"]


@pytest.mark.django_db(transaction=True)
def test_a_validated_version_is_ready_and_can_be_downloaded(api: Api, queue: FakeQueue) -> None:
    api.post("models/", {"name": "digits"})
    api.upload("digits", ONNX)
    [version_id] = queue.validations
    validate_version(
        version_id=version_id,
        store=wiring.artifact_store(),
        inspector=wiring.inspector(),
        clock=wiring.clock(),
    )
    assert api.get("models/digits/versions/1").json()["state"] == "ready"
    content = b"".join(api.get("models/digits/versions/1/download").streaming_content)
    assert content == ONNX.read_bytes()


def stored_files() -> list[Path]:
    from django.conf import settings

    root = settings.NEREID_ARTIFACTS
    return [path for path in root.rglob("*") if path.is_file()] if root.exists() else []


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"this is not a model", "ONNX"),
        (b"\x08\x08\x12\x07pytorch", "graph"),
    ],
    ids=["empty", "text", "header"],
)
def test_a_corrupt_file_stores_nothing(api: Api, tmp_path: Path, content: bytes, word: str) -> None:
    api.post("models/", {"name": "digits"})
    before = stored_files()
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(content)
    response = api.upload("digits", bad)
    assert "/artifact" in problem(response, 400)
    assert not ModelVersion.objects.exists()
    assert not Artifact.objects.exists()
    assert set(stored_files()) <= set(before)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_stores_nothing(api: Api, tmp_path: Path, share: float) -> None:
    api.post("models/", {"name": "digits"})
    before = stored_files()
    whole = (SAMPLES / "v2/model.onnx").read_bytes()
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(whole[: int(len(whole) * share)])
    assert "/artifact" in problem(api.upload("digits", cut), 400)
    assert not ModelVersion.objects.exists()
    assert set(stored_files()) <= set(before)


@pytest.mark.parametrize(
    ("metadata", "pointer"),
    [
        ("{", "/metadata"),
        ("[]", "/metadata"),
        ({"framework": "caffe"}, "/framework"),
        ({"profile": "none"}, "/profile"),
        ({"version": 0}, "/version"),
        ({"sha256": "12"}, "/sha256"),
        ({"sha256": "0" * 64}, "/sha256"),
        ({"colour": "red"}, "/metadata/colour"),
        ({"metrics": {"accuracy": "high"}}, "/metadata/metrics/accuracy"),
    ],
)
def test_bad_metadata_stores_nothing(api: Api, metadata: Any, pointer: str) -> None:
    api.post("models/", {"name": "digits"})
    assert pointer in problem(api.upload("digits", ONNX, metadata), 400)
    assert not ModelVersion.objects.exists()


def test_an_upload_needs_its_model_and_its_file(api: Api) -> None:
    problem(api.upload("nothing", ONNX), 404)
    api.post("models/", {"name": "digits"})
    assert problem(api.post("models/digits/versions/", {}), 400) == {"/source": "required"}


def test_a_number_is_taken_once(api: Api) -> None:
    api.post("models/", {"name": "digits"})
    assert api.upload("digits", ONNX, {"version": 7}).json()["version"] == 7
    problem(api.upload("digits", ONNX, {"version": 7}), 409)
    assert api.upload("digits", ONNX).json()["version"] == 8


def test_a_model_with_versions_stays(digits: Api) -> None:
    problem(digits.call("delete", "models/digits/"), 409)


def test_nobody_reads_and_readers_do_not_write(api: Api, reader: Api) -> None:
    nobody = Api(None).get("models/")
    problem(nobody, 401)
    assert nobody["WWW-Authenticate"].startswith("Bearer")
    problem(Api("nrd_wrong").get("models/"), 401)
    assert reader.get("models/").status_code == 200
    problem(reader.post("models/", {"name": "digits"}), 403)
    problem(reader.post("endpoints/", {"name": "digits"}), 403)
    api.post("models/", {"name": "digits"})
    problem(reader.upload("digits", ONNX), 403)


def test_an_unknown_path_is_a_problem_too(api: Api) -> None:
    problem(api.get("nothing/here/"), 404)
    problem(api.call("put", "models/", {}), 405)


def test_lists_come_in_pages(api: Api) -> None:
    names = [f"model-{i}" for i in range(5)]
    for name in names:
        api.post("models/", {"name": name})
    page = api.get("models/?limit=2").json()
    seen = [m["name"] for m in page["results"]]
    while page["next"]:
        page = api.get("models/?" + page["next"].partition("?")[2]).json()
        seen += [m["name"] for m in page["results"]]
    assert seen == names


def test_lists_take_the_same_number_of_queries_whatever_their_length(
    digits: Api, django_assert_num_queries: Any
) -> None:
    from django.db import connection

    def queries(path: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as caught:
            assert digits.get(path).status_code == 200
        return len(caught)

    paths = ["models/", "models/digits/versions/", "endpoints/", "servers/"]
    before = [queries(path) for path in paths]
    for i in range(5):
        digits.post("models/", {"name": f"m{i}"})
        digits.post("endpoints/", {"name": f"e{i}"})
        digits.upload("digits", ONNX)
    assert [queries(path) for path in paths] == before

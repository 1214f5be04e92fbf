"""Resumable uploads by the tus protocol."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from control_plane import wiring
from control_plane.audit.models import AuditEvent
from control_plane.registry.models import ModelVersion, Upload
from control_plane.registry.uploads import sweep_uploads
from tests.integration.api.conftest import SAMPLES, Api, token_of
from tests.integration.api.test_registry_api import problem
from tests.support.fakes import FakeClock

ONNX = (SAMPLES / "v1/model.onnx").read_bytes()
DIGEST = hashlib.sha256(ONNX).hexdigest()


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


class Tus:
    """Calls of the protocol; `last` is the answer to the last one."""

    def __init__(self, api: Api) -> None:
        self._client, self._auth = api._client, api._headers

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        given = {**self._auth, "Tus-Resumable": "1.0.0", **named}
        return self._client.generic(
            method.upper(),
            f"/api/v1/uploads/{path}",
            data=body or b"",
            content_type="application/offset+octet-stream" if body is not None else "",
            headers={k: v for k, v in given.items() if v},
        )

    def create(self, length: int = len(ONNX), **headers: str) -> Any:
        return self.call("post", "", Upload_Length=str(length), **headers)

    def begin(self, length: int = len(ONNX), **headers: str) -> str:
        response = self.create(length, **headers)
        assert response.status_code == 201, response.content
        return response["Location"].rstrip("/").rpartition("/")[2]

    def patch(self, upload: str, offset: int, body: bytes, **headers: str) -> Any:
        return self.call("patch", upload, body, Upload_Offset=str(offset), **headers)

    def offset(self, upload: str) -> int:
        response = self.call("head", upload)
        assert response.status_code == 200
        assert response["Cache-Control"] == "no-store"
        return int(response["Upload-Offset"])


@pytest.fixture
def tus(api: Api) -> Tus:
    api.post("models/", {"name": "digits"})
    return Tus(api)


def left() -> list[str]:
    return sorted(path.name for path in (settings.NEREID_ARTIFACTS / "uploads").glob("*"))


def test_it_says_what_it_can_do(tus: Tus) -> None:
    answer = tus.call("options", "", Tus_Resumable="")
    assert answer.status_code == 204
    assert answer["Tus-Version"] == "1.0.0"
    assert set(answer["Tus-Extension"].split(",")) == {
        "creation",
        "expiration",
        "checksum",
        "termination",
    }
    assert "sha1" in answer["Tus-Checksum-Algorithm"]
    assert int(answer["Tus-Max-Size"]) == settings.NEREID_MAX_UPLOAD_BYTES


@pytest.mark.django_db(transaction=True)
def test_an_upload_in_parts_becomes_a_version(api: Api, tus: Tus) -> None:
    said = f"filename {b64('größe.onnx'.encode())},sha256 {b64(DIGEST.encode())}"
    upload = tus.begin(Upload_Metadata=said)
    assert tus.offset(upload) == 0
    place = 0
    while place < len(ONNX):
        part = ONNX[place : place + 3000]
        checksum = f"sha256 {b64(hashlib.sha256(part).digest())}"
        answer = tus.patch(upload, place, part, Upload_Checksum=checksum)
        assert answer.status_code == 204, answer.content
        place = int(answer["Upload-Offset"])
        assert place == tus.offset(upload)
        assert answer["Upload-Expires"].endswith("GMT")
    body = {"source": f"upload:{upload}", "metrics": {"accuracy": 0.9}}
    made = api.post("models/digits/versions/", body)
    assert made.status_code == 202, made.content
    artifact = made.json()["artifact"]
    assert artifact == {"sha256": DIGEST, "size": len(ONNX), "filename": "größe.onnx"}
    assert tus.call("head", upload).status_code == 404
    assert upload not in left()
    finished = AuditEvent.objects.filter(object_type="upload").values_list("action", flat=True)
    assert sorted(finished) == ["upload.create", "upload.finish"]


def test_damaged_parts_do_not_count(tus: Tus) -> None:
    upload = tus.begin()
    good = f"sha256 {b64(hashlib.sha256(ONNX[:100]).digest())}"
    damaged = bytes([ONNX[0] ^ 1]) + ONNX[1:100]
    answer = tus.patch(upload, 0, damaged, Upload_Checksum=good)
    assert answer.status_code == 460
    assert answer["Content-Type"] == "application/problem+json"
    assert tus.offset(upload) == 0
    assert tus.patch(upload, 0, ONNX[:100], Upload_Checksum=good).status_code == 204
    sha1 = f"sha1 {b64(hashlib.sha1(ONNX[100:200], usedforsecurity=False).digest())}"
    assert tus.patch(upload, 100, ONNX[100:200], Upload_Checksum=sha1).status_code == 204
    problem(tus.patch(upload, 200, b"x", Upload_Checksum="crc7 eA=="), 400)
    problem(tus.patch(upload, 200, b"x", Upload_Checksum="sha256 ???"), 400)
    assert tus.offset(upload) == 200


def test_what_arrived_damaged_as_a_whole_makes_no_version(api: Api, tus: Tus) -> None:
    upload = tus.begin(Upload_Metadata=f"sha256 {b64(DIGEST.encode())}")
    tus.patch(upload, 0, ONNX[:-1] + b"!")
    refused = api.post("models/digits/versions/", {"source": f"upload:{upload}"})
    assert problem(refused, 400) == {"/sha256": "mismatch"}
    assert not ModelVersion.objects.exists()


def test_the_rules_of_the_protocol(tus: Tus) -> None:
    upload = tus.begin()
    answer = tus.patch(upload, 0, b"x", Tus_Resumable="0.2.2")
    problem(answer, 412)
    assert answer["Tus-Version"] == "1.0.0"
    problem(tus.create(Tus_Resumable=""), 412)
    problem(tus.patch(upload, 5, b"x"), 409)
    problem(tus.patch(upload, 0, ONNX + b"more"), 400)
    problem(tus.call("patch", upload, b"x"), 400)
    problem(tus.call("post", ""), 400)
    problem(tus.call("post", "", Upload_Length="-4"), 400)
    problem(tus.call("post", "", Upload_Length="5", Upload_Defer_Length="1"), 400)
    problem(tus.create(settings.NEREID_MAX_UPLOAD_BYTES + 1), 413)
    problem(tus.create(Upload_Metadata="filename !!!"), 400)
    problem(tus.create(Upload_Metadata=f"sha256 {b64(b'12')}"), 400)
    problem(tus.patch("0" * 36, 0, b"x"), 400)
    override = tus.call("post", upload, ONNX[:9], Upload_Offset="0", X_HTTP_Method_Override="PATCH")
    assert override.status_code == 204
    assert tus.offset(upload) == 9


@pytest.mark.django_db(transaction=True)
def test_one_that_is_given_up_is_gone(api: Api, tus: Tus) -> None:
    upload = tus.begin()
    assert tus.call("delete", upload).status_code == 204
    problem(tus.call("delete", upload), 404)
    assert upload not in left()
    for source in (f"upload:{upload}", "upload:x", "gopher://x"):
        refused = api.post("models/digits/versions/", {"source": source})
        assert set(problem(refused, 400)) == {"/source"}


def test_an_unfinished_one_is_no_version(api: Api, tus: Tus) -> None:
    upload = tus.begin()
    tus.patch(upload, 0, ONNX[:50])
    refused = api.post("models/digits/versions/", {"source": f"upload:{upload}"})
    assert problem(refused, 400) == {"/source": "unfinished"}


def test_it_is_its_owners_alone(api: Api, reader: Api, tus: Tus) -> None:
    upload = tus.begin()
    other = Tus(Api(token_of("eve", is_superuser=True)))
    problem(other.call("get", upload), 404)
    problem(other.patch(upload, 0, b"x"), 404)
    problem(Tus(reader).create(), 403)
    problem(Tus(Api(None)).create(), 401)


@override_settings(NEREID_UPLOAD_QUOTA_BYTES=1000, NEREID_UPLOAD_QUOTA_COUNT=2)
def test_nobody_fills_the_disk_with_beginnings(tus: Tus) -> None:
    problem(tus.create(1001), 409)
    tus.begin(600)
    problem(tus.create(600), 409)
    second = tus.begin(1)
    problem(tus.create(1), 409)
    tus.call("delete", second)
    tus.begin(1)


@pytest.mark.django_db(transaction=True)
def test_what_nobody_finishes_is_forgotten(tus: Tus, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = tus.begin()
    clock = FakeClock()
    moment = Upload.objects.get().expires_at
    monkeypatch.setattr(clock, "now", lambda: moment - timedelta(seconds=1))
    assert sweep_uploads(files=wiring.partial_files(), clock=clock) == 0
    monkeypatch.setattr(clock, "now", lambda: moment)
    monkeypatch.setattr(wiring, "clock", lambda: clock)
    problem(tus.call("get", upload), 410)
    assert sweep_uploads(files=wiring.partial_files(), clock=clock) == 1
    assert left() == []
    problem(tus.call("get", upload), 404)


def test_two_do_not_write_at_once(tus: Tus) -> None:
    upload = Upload.objects.get(id=tus.begin())
    with wiring.partial_files().locked(upload.id):
        problem(tus.patch(str(upload.id), 0, b"x"), 409)
    assert tus.patch(str(upload.id), 0, b"x").status_code == 204


def test_what_a_killed_request_wrote_beyond_the_offset_does_not_count(api: Api, tus: Tus) -> None:
    upload = tus.begin()
    tus.patch(upload, 0, ONNX[:100])
    with wiring.partial_files().path(Upload.objects.get().id).open("ab") as file:
        file.write(b"unverified")
    assert tus.offset(upload) == 100
    tus.patch(upload, 100, ONNX[100:])
    body = {"source": f"upload:{upload}", "sha256": DIGEST}
    assert api.post("models/digits/versions/", body).status_code == 202

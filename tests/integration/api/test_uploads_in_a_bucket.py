"""Uploads and downloads of API processes that share a bucket and no disk."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings as live
from django.db import connection

from control_plane import wiring
from control_plane.adapters.s3 import partial_files
from control_plane.adapters.s3.place import BucketPlace
from control_plane.domain.violations import ConflictError
from control_plane.registry.collection import collect_artifacts
from control_plane.registry.models import Artifact, ModelVersion, Upload
from control_plane.registry.uploads import sweep_uploads
from control_plane.registry.validation import validate_version
from control_plane.telemetry.store import TelemetryStore
from tests.integration.api.conftest import SAMPLES, Api
from tests.integration.api.test_registry_api import problem
from tests.integration.api.test_uploads_api import DIGEST, ONNX, Tus, b64
from tests.integration.registry.test_collection import LATER, At
from tests.support.buckets import BucketServer, bucket_server

NOW = At(datetime.now(UTC))


@pytest.fixture(scope="module")
def server() -> Iterator[BucketServer]:
    with bucket_server("artifacts") as server:
        yield server


@pytest.fixture(autouse=True)
def in_a_bucket(server: BucketServer, settings: Any, tmp_path: Path) -> None:
    settings.NEREID_ARTIFACT_STORE = BucketPlace.of(
        f"s3://artifacts/{tmp_path.name}", server.address
    )
    settings.NEREID_ARTIFACT_CACHE = tmp_path / "cache"


@pytest.fixture
def tus(api: Api) -> Tus:
    api.post("models/", {"name": "digits"})
    return Tus(api)


def keys(server: BucketServer, kind: str) -> list[str]:
    place = live.NEREID_ARTIFACT_STORE
    return server.keys("artifacts", f"{place.prefix}{kind}")


def on_another_machine(settings: Any, tmp_path: Path) -> None:
    """What is asked from here on has nothing of what was asked before."""
    settings.NEREID_ARTIFACT_CACHE = tmp_path / "another"


@pytest.mark.django_db(transaction=True)
def test_an_upload_goes_on_elsewhere_and_is_validated_and_sent_by_others(
    api: Api,
    tus: Tus,
    server: BucketServer,
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partial_files, "PIECE_BYTES", 1000)
    upload = tus.begin(Upload_Metadata=f"sha256 {b64(DIGEST.encode())}")
    half = len(ONNX) // 2
    checksum = f"sha256 {b64(hashlib.sha256(ONNX[:half]).digest())}"
    assert tus.patch(upload, 0, ONNX[:half], Upload_Checksum=checksum).status_code == 204
    on_another_machine(settings, tmp_path)
    assert tus.offset(upload) == half
    assert tus.patch(upload, half, ONNX[half:]).status_code == 204
    assert len(keys(server, "uploads/")) == -(-half // 1000) + -(-(len(ONNX) - half) // 1000)

    made = api.post("models/digits/versions/", {"source": f"upload:{upload}"})
    assert made.status_code == 202, made.content
    assert made.json()["artifact"]["sha256"] == DIGEST
    assert keys(server, "uploads/") == []
    assert [key.rpartition("/")[2] for key in keys(server, "sha256/")] == [DIGEST]

    settings.NEREID_ARTIFACT_CACHE = tmp_path / "worker"
    validated = validate_version(
        version_id=ModelVersion.objects.get().id,
        store=wiring.artifact_store(),
        inspector=wiring.inspector(),
        clock=wiring.clock(),
    )
    assert validated.state == "ready", validated.state_reason
    settings.NEREID_ARTIFACT_CACHE = tmp_path / "third"
    sent = api.get("models/digits/versions/1/download/")
    assert b"".join(sent.streaming_content) == ONNX


def test_damaged_parts_and_what_lies_behind_the_offset_do_not_count(
    api: Api, tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial_files, "PIECE_BYTES", 100)
    upload = tus.begin()
    wrong = f"sha256 {b64(hashlib.sha256(b'else').digest())}"
    # A request that was killed has left pieces, too, and of other sizes.
    assert tus.patch(upload, 0, b"x" * 350, Upload_Checksum=wrong).status_code == 460
    assert tus.offset(upload) == 0
    place = 0
    for size in (150, 70, len(ONNX)):
        answer = tus.patch(upload, place, ONNX[place : place + size])
        assert answer.status_code == 204, answer.content
        place = int(answer["Upload-Offset"])
    made = api.post("models/digits/versions/", {"source": f"upload:{upload}", "sha256": DIGEST})
    assert made.status_code == 202, made.content


def test_pieces_that_are_gone_are_said(api: Api, tus: Tus, server: BucketServer) -> None:
    upload = tus.begin()
    tus.patch(upload, 0, ONNX)
    for key in keys(server, "uploads/"):
        server.client.delete_object(Bucket="artifacts", Key=key)
    problem(api.post("models/digits/versions/", {"source": f"upload:{upload}"}), 409)


@pytest.mark.django_db(transaction=True)
def test_two_machines_do_not_write_at_once(tus: Tus) -> None:
    upload = tus.begin()
    held, done = threading.Event(), threading.Event()

    def elsewhere() -> None:
        with wiring.partial_files().locked(UUID(upload)):
            held.set()
            done.wait(10)
        connection.close()

    other = threading.Thread(target=elsewhere)
    other.start()
    assert held.wait(10)
    try:
        problem(tus.patch(upload, 0, b"x"), 409)
        with pytest.raises(ConflictError), wiring.partial_files().locked(UUID(upload)):
            pass
    finally:
        done.set()
        other.join()
    assert tus.patch(upload, 0, b"x").status_code == 204


def test_what_nobody_finished_is_forgotten(tus: Tus, server: BucketServer) -> None:
    tus.patch(tus.begin(), 0, b"left")
    assert len(keys(server, "uploads/")) == 1
    other = tus.begin()
    tus.patch(other, 0, b"goes on")
    Upload.objects.exclude(id=other).delete()  # as a process does that is killed before it drops
    assert sweep_uploads(files=wiring.partial_files(), clock=NOW) == 0
    assert len(keys(server, "uploads/")) == 2, "one that is made just now has no row yet"
    Upload.objects.update(expires_at=LATER.now() + timedelta(days=1))
    assert sweep_uploads(files=wiring.partial_files(), clock=LATER) == 0
    [stays] = keys(server, "uploads/")
    assert other in stays


def test_a_bucket_that_is_away_is_told_and_leaves_no_rows(
    api: Api,
    tus: Tus,
    server: BucketServer,
    telemetry: TelemetryStore,
) -> None:
    before = tus.begin()
    with server.away():
        answer = api.upload("digits", SAMPLES / "v1/model.onnx")
        problem(answer, 503)
        assert "does NEREID_S3_ENDPOINT name it?" in answer.json()["detail"]
        problem(tus.patch(before, 0, ONNX), 503)
        stores = {one["what"]: one for one in api.get("diagnosis/").json()["stores"]}
        assert stores["artifacts"]["place"] == str(live.NEREID_ARTIFACT_STORE)
        assert "Could not connect" in stores["artifacts"]["problem"]
        assert stores["recordings"]["problem"] == ""
        assert (Artifact.objects.count(), ModelVersion.objects.count()) == (0, 0)
    assert tus.offset(before) == 0
    assert tus.patch(before, 0, ONNX).status_code == 204
    assert api.upload("digits", SAMPLES / "v1/model.onnx").status_code == 202


def test_a_version_waits_for_a_bucket_that_is_away_however_long(
    api: Api, tus: Tus, server: BucketServer, settings: Any, tmp_path: Path
) -> None:
    assert api.upload("digits", SAMPLES / "v1/model.onnx").status_code == 202
    version = ModelVersion.objects.get()
    on_another_machine(settings, tmp_path)

    def validate() -> ModelVersion:
        return validate_version(
            version_id=version.id,
            store=wiring.artifact_store(),
            inspector=wiring.inspector(),
            clock=wiring.clock(),
        )

    with server.away():
        for _ in range(5):
            waiting = validate()
    assert (waiting.state, waiting.validation_attempts) == ("validating", 0)
    assert waiting.state_reason.startswith("it waits for its files: the bucket of s3://")
    assert validate().state == "ready"


def test_what_nothing_refers_to_is_collected_there(
    api: Api, tus: Tus, server: BucketServer
) -> None:
    api.upload("digits", SAMPLES / "v1/model.onnx")
    with (SAMPLES / "v2/model.onnx").open("rb") as file:
        wiring.artifact_store().add(file)
    assert len(keys(server, "sha256/")) == 2
    assert collect_artifacts(store=wiring.artifact_store(), clock=LATER) == 1
    assert [key.rpartition("/")[2] for key in keys(server, "sha256/")] == [DIGEST]

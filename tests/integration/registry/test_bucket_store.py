"""Artifacts in a bucket: what goes wrong there, and whose it is."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import boto3
import pytest

from control_plane.adapters.s3 import bucket
from control_plane.adapters.s3.bucket import PART_BYTES
from control_plane.ports.repository import (
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactStoreFailedError,
    read_artifact,
)
from stack.ports import free_port
from tests.support.buckets import BucketServer, bucket_server, bucket_store, misbehaving

MODEL = b"a model's weights"
SHA256 = hashlib.sha256(MODEL).hexdigest()
KEY = f"team/sha256/{SHA256[:2]}/{SHA256}"


@pytest.fixture(scope="module")
def all_tests() -> Iterator[BucketServer]:
    with bucket_server("artifacts") as server:
        yield server


@pytest.fixture
def server(all_tests: BucketServer) -> BucketServer:
    """The server, with an empty bucket."""
    for key in all_tests.keys("artifacts"):
        all_tests.client.delete_object(Bucket="artifacts", Key=key)
    return all_tests


def test_objects_lie_under_their_digests_below_the_prefix(
    server: BucketServer, tmp_path: Path
) -> None:
    store = bucket_store(server.address, tmp_path)
    store.add(io.BytesIO(MODEL))
    assert server.keys("artifacts") == ["team/owner", KEY]
    assert store.place == "s3://artifacts/team"


def test_a_machine_with_an_empty_cache_gets_it_once(server: BucketServer, tmp_path: Path) -> None:
    bucket_store(server.address, tmp_path / "api").add(io.BytesIO(MODEL))
    node = bucket_store(server.address, tmp_path / "node")
    assert read_artifact(node, SHA256) == MODEL
    server.client.delete_object(Bucket="artifacts", Key=KEY)
    assert read_artifact(node, SHA256) == MODEL, "from its cache"
    with pytest.raises(ArtifactMissingError, match=f"no object s3://artifacts/{KEY}"):
        read_artifact(bucket_store(server.address, tmp_path / "other"), SHA256)


@pytest.mark.parametrize("instead", [b"", MODEL[:-1], MODEL[:-1] + b"!"])
def test_an_object_of_another_content_is_not_taken(
    server: BucketServer, tmp_path: Path, instead: bytes
) -> None:
    bucket_store(server.address, tmp_path / "api").add(io.BytesIO(MODEL))
    server.client.put_object(Bucket="artifacts", Key=KEY, Body=instead)
    node = bucket_store(server.address, tmp_path / "node")
    with pytest.raises(ArtifactDamagedError, match=f"s3://artifacts/{KEY} is damaged") as told:
        read_artifact(node, SHA256)
    assert f"{len(instead)} bytes" in str(told.value)
    # The same file sent again is what it says.
    bucket_store(server.address, tmp_path / "api").add(io.BytesIO(MODEL))
    assert read_artifact(node, SHA256) == MODEL


def test_what_was_spoilt_on_this_machine_is_fetched_anew(
    server: BucketServer, tmp_path: Path
) -> None:
    store = bucket_store(server.address, tmp_path)
    store.add(io.BytesIO(MODEL))
    with store.held(SHA256) as path:
        path.chmod(0o644)
        path.write_bytes(b"else")
        assert f"from s3://artifacts/{KEY} anew" in store.spoilt(SHA256)
    assert read_artifact(store, SHA256) == MODEL


def test_an_upload_that_was_cut_off_is_never_seen_and_is_dropped_in_the_end(
    server: BucketServer, tmp_path: Path
) -> None:
    """What a process that is killed amid its parts leaves."""
    begun = server.client.create_multipart_upload(Bucket="artifacts", Key=KEY)
    server.client.upload_part(
        Bucket="artifacts", Key=KEY, UploadId=begun["UploadId"], PartNumber=1, Body=b"half"
    )
    store = bucket_store(server.address, tmp_path)
    assert (list(store.digests()), store.missing([SHA256])) == ([], {SHA256})

    def under_way() -> int:
        return len(server.client.list_multipart_uploads(Bucket="artifacts").get("Uploads", ()))

    # This server says of each that it was begun in 2010.
    store._bucket.abort_cut_off(datetime(2010, 1, 1, tzinfo=UTC))
    assert under_way() == 1, "it may go on"
    store.clear_cut_off()
    assert under_way() == 0
    store.add(io.BytesIO(MODEL))
    assert list(store.digests()) == [SHA256]


def test_two_control_planes_below_one_prefix_are_refused(
    server: BucketServer, tmp_path: Path
) -> None:
    ours = bucket_store(server.address, tmp_path / "a", owner="ours")
    ours.add(io.BytesIO(MODEL))
    theirs = bucket_store(server.address, tmp_path / "b", owner="theirs")
    for refused in (
        theirs.check,
        theirs.clear_cut_off,
        lambda: theirs.add(io.BytesIO(b"another")),
        lambda: theirs.discard(SHA256),
    ):
        with pytest.raises(ArtifactStoreFailedError, match="belongs to another Nereid") as told:
            refused()
    assert "s3://artifacts/team/owner says 'ours', this one is 'theirs'" in str(told.value)
    assert server.keys("artifacts") == ["team/owner", KEY]
    bucket_store(server.address, tmp_path / "a").clear_cut_off()  # the same after a restart
    beside = bucket_store(server.address, tmp_path / "b", place="s3://artifacts/b", owner="theirs")
    beside.add(io.BytesIO(b"another"))
    assert list(ours.digests()) == [SHA256]


def test_a_bucket_that_is_not_there(server: BucketServer, tmp_path: Path) -> None:
    store = bucket_store(server.address, tmp_path, place="s3://nowhere/team")
    for asked in (
        store.check,
        store.digests,
        lambda: store.add(io.BytesIO(MODEL)),
        lambda: read_artifact(store, SHA256),
    ):
        with pytest.raises(ArtifactStoreFailedError, match="there is no bucket nowhere: make it"):
            asked()


def test_a_bucket_that_is_away(tmp_path: Path, all_tests: BucketServer) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    store = bucket_store(address, tmp_path)
    for asked in (store.check, lambda: read_artifact(store, SHA256)):
        with pytest.raises(ArtifactStoreFailedError) as told:
            asked()
        said = str(told.value)
        assert f"the bucket of s3://artifacts/team at {address}: Could not connect" in said
        assert "does NEREID_S3_ENDPOINT name it?" in said


def test_credentials_that_are_not_there(
    tmp_path: Path, server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "_session", boto3.session.Session)  # which knows none yet
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(ArtifactStoreFailedError, match="set AWS_ACCESS_KEY_ID and"):
        bucket_store(server.address, tmp_path).check()


REFUSAL = b"<Error><Code>AccessDenied</Code><Message>not you</Message></Error>"


def refuse(request: BaseHTTPRequestHandler) -> None:
    request.send_response(403)
    request.send_header("Content-Length", str(len(REFUSAL)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(REFUSAL)


def test_a_bucket_that_refuses(tmp_path: Path, all_tests: BucketServer) -> None:
    with misbehaving(refuse) as address:
        store = bucket_store(address, tmp_path)
        with pytest.raises(ArtifactStoreFailedError, match=r"refused \(AccessDenied: not you\)"):
            store.check()
        with pytest.raises(ArtifactStoreFailedError, match=r"s3:GetObject, and for API"):
            read_artifact(store, SHA256)


def hang_up(request: BaseHTTPRequestHandler) -> None:
    """Announces more than it gives, each time."""
    request.send_response(200)
    request.send_header("Content-Length", str(len(MODEL)))
    request.send_header("Last-Modified", "Fri, 27 Nov 2026 09:00:00 GMT")
    request.send_header("ETag", '"1"')
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(MODEL[:5])
    request.close_connection = True


def test_an_answer_that_breaks_off_leaves_nothing(tmp_path: Path, all_tests: BucketServer) -> None:
    with misbehaving(hang_up) as address, pytest.raises(ArtifactStoreFailedError, match=KEY):
        read_artifact(bucket_store(address, tmp_path), SHA256)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.parent.name for path in left} <= {"locks"}


def test_a_large_one_whose_parts_fail_is_not_there(
    server: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = bucket_store(server.address, tmp_path)
    part = store._bucket._client.upload_part

    def fails_at_the_second(**given: object) -> object:
        if given["PartNumber"] == 2:
            raise ConnectionResetError("the line broke")
        return part(**given)

    monkeypatch.setattr(store._bucket._client, "upload_part", fails_at_the_second)
    with pytest.raises(OSError, match="the line broke"):
        store.add(io.BytesIO(bytes(PART_BYTES + 1)))
    assert list(store.digests()) == []
    assert "Uploads" not in server.client.list_multipart_uploads(Bucket="artifacts")

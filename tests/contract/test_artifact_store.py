"""What every artifact store promises: files in a folder, and objects in a bucket behind a cache."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from control_plane.adapters.artifacts import FileArtifactStore
from control_plane.adapters.s3.bucket import PART_BYTES
from control_plane.ports.repository import (
    ArtifactMissingError,
    ArtifactStore,
    DigestMismatchError,
    read_artifact,
)
from tests.support.buckets import BucketServer, bucket_server, bucket_store
from tests.support.processes import eventually

NOWHERE = "0" * 64
LARGE = bytes(PART_BYTES) + b"and a little more"
"""More than one part of an upload, and of a fetch."""


@pytest.fixture(scope="module")
def server() -> Iterator[BucketServer]:
    with bucket_server("artifacts") as server:
        yield server


@pytest.fixture(params=["folder", "bucket", "bucket without a cache"])
def store(
    request: pytest.FixtureRequest, server: BucketServer, tmp_path: Path
) -> Iterator[ArtifactStore]:
    if request.param == "folder":
        yield FileArtifactStore(tmp_path / "store")
        return
    kept = 0 if "without" in request.param else 1 << 30
    place = f"s3://artifacts/{tmp_path.name}"
    yield bucket_store(server.address, tmp_path / "store", place=place, cache_bytes=kept)


def add(store: ArtifactStore, content: bytes) -> str:
    sha256, size = store.add(io.BytesIO(content))
    assert (sha256, size) == (hashlib.sha256(content).hexdigest(), len(content))
    return sha256


def files(root: Path) -> list[Path]:
    """What lies on this machine's disk, but for locks."""
    return [path for path in root.rglob("*") if path.is_file() and path.parent.name != "locks"]


@pytest.mark.parametrize("content", [b"", b"model", LARGE], ids=["empty", "small", "large"])
def test_what_was_added_is_held_read_only(store: ArtifactStore, content: bytes) -> None:
    sha256 = add(store, content)
    with store.held(sha256) as path:
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o222 == 0
        with store.held(sha256) as again:  # by somebody else at the same time
            assert again.samefile(path)
        assert path.read_bytes() == content
    assert read_artifact(store, sha256) == content


def test_the_same_content_is_kept_once_and_is_young_again(store: ArtifactStore) -> None:
    sha256 = add(store, b"model")
    first = store.taken_at(sha256)
    assert abs(datetime.now(UTC) - first) < timedelta(minutes=1)

    def sent_again() -> bool:  # a bucket knows seconds, no less
        add(store, b"model")
        return store.taken_at(sha256) > first

    assert eventually(sent_again)
    assert list(store.digests()) == [sha256]


def test_a_large_one_that_is_sent_again_is_young_again(store: ArtifactStore) -> None:
    sha256 = add(store, LARGE)
    first = store.taken_at(sha256)
    assert eventually(lambda: time.time() > first.timestamp() + 1)
    add(store, LARGE)
    assert store.taken_at(sha256) > first
    assert read_artifact(store, sha256) == LARGE


def test_what_is_not_what_was_announced_is_not_kept(store: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(DigestMismatchError, match="not 0000"):
        store.add(io.BytesIO(b"model"), NOWHERE)
    assert list(store.digests()) == []
    assert files(tmp_path / "store") == []
    sha256, _ = store.add(io.BytesIO(b"model"), hashlib.sha256(b"model").hexdigest().upper())
    assert list(store.digests()) == [sha256]


def test_a_stream_that_breaks_off_leaves_nothing(store: ArtifactStore, tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if chunk := super().read(size):
                return chunk
            raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        store.add(Broken(b"half of it"))
    assert list(store.digests()) == []
    assert files(tmp_path / "store") == []


def test_what_is_missing_is_said(store: ArtifactStore) -> None:
    there = [add(store, b"one"), add(store, b"two")]
    assert store.missing([*there, NOWHERE]) == {NOWHERE}
    assert store.missing([]) == frozenset()
    with pytest.raises(ArtifactMissingError, match=NOWHERE), store.held(NOWHERE):
        pass
    with pytest.raises(ArtifactMissingError, match=NOWHERE):
        store.taken_at(NOWHERE)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 65])
def test_what_is_no_digest_names_nothing(store: ArtifactStore, name: str) -> None:
    add(store, b"model")
    for refused in (store.taken_at, store.discard, lambda one: store.missing([one])):
        with pytest.raises(ArtifactMissingError, match="no hex sha256"):
            refused(name)
    with pytest.raises(ArtifactMissingError, match="no hex sha256"), store.held(name):
        pass


def test_what_is_discarded_is_gone(store: ArtifactStore) -> None:
    gone, stays = add(store, b"one"), add(store, b"two")
    for _ in range(2):  # one that is not there is no error
        store.discard(gone)
    assert list(store.digests()) == [stays]
    with pytest.raises(ArtifactMissingError), store.held(gone):
        pass
    assert add(store, b"one") == gone
    assert read_artifact(store, gone) == b"one"


def test_what_was_cut_off_on_this_machine_is_cleared_after_a_day(
    store: ArtifactStore, tmp_path: Path
) -> None:
    add(store, b"model")
    incoming = tmp_path / "store" / "incoming"
    for name, hours in (("old", 25), ("young", 1)):
        (incoming / name).write_bytes(b"half")
        began = time.time() - hours * 3600
        os.utime(incoming / name, (began, began))
    store.clear_cut_off()
    assert [path.name for path in files(incoming)] == ["young"]


def test_it_can_be_used_and_says_where_it_is(store: ArtifactStore, tmp_path: Path) -> None:
    store.check()
    add(store, b"model")
    store.check()
    assert tmp_path.name in store.place


def test_what_is_private_is_its_owners_alone(tmp_path: Path) -> None:
    root = tmp_path / "recordings"
    store = FileArtifactStore(root, private=True)
    sha256 = add(store, b"what callers sent")
    assert store.path(sha256).stat().st_mode & 0o777 == 0o400
    for folder in (root, root / "sha256", root / "incoming"):
        assert folder.stat().st_mode & 0o777 == 0o700, folder


def test_a_folder_that_may_not_be_written_to_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write to everything
    with pytest.raises(OSError, match="may not be written to"):
        FileArtifactStore(tmp_path).check()

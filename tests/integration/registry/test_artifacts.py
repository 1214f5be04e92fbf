"""Files by content, on a real disk."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest

from control_plane.adapters.artifacts import FileArtifactStore
from control_plane.ports.repository import DigestMismatchError


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_the_same_content_is_the_same_file(tmp_path: Path) -> None:
    store = FileArtifactStore(tmp_path)
    sha256, size = store.add(io.BytesIO(b"model"))
    assert size == 5
    link = tmp_path / "linked.onnx"
    link.hardlink_to(store.path(sha256))
    assert store.add(io.BytesIO(b"model")) == (sha256, size)
    assert link.samefile(store.path(sha256))
    assert store.path(sha256).stat().st_mode & 0o222 == 0
    link.unlink()
    assert files(tmp_path) == [store.path(sha256)]


def test_what_is_private_is_its_owners_alone(tmp_path: Path) -> None:
    root = tmp_path / "recordings"
    store = FileArtifactStore(root, private=True)
    sha256, _ = store.add(io.BytesIO(b"what callers sent"))
    assert store.path(sha256).stat().st_mode & 0o777 == 0o400
    for folder in (root, root / "sha256", root / "incoming"):
        assert folder.stat().st_mode & 0o777 == 0o700, folder


def test_what_is_not_what_was_announced_is_not_kept(tmp_path: Path) -> None:
    store = FileArtifactStore(tmp_path)
    with pytest.raises(DigestMismatchError):
        store.add(io.BytesIO(b"model"), "0" * 64)
    assert files(tmp_path) == []


def test_uploads_that_were_cut_off_are_cleared_after_a_day(tmp_path: Path) -> None:
    store = FileArtifactStore(tmp_path)
    store.add(io.BytesIO(b"model"))
    incoming = tmp_path / "incoming"
    for name, hours in (("old", 25), ("young", 1)):
        (incoming / name).write_bytes(b"half")
        began = time.time() - hours * 3600
        os.utime(incoming / name, (began, began))
    store.add(io.BytesIO(b"other"))
    assert [path.name for path in files(incoming)] == ["young"]

"""The artifact store on disk: every file lies under its own sha256."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from control_plane.ports.repository import ArtifactMissingError, DigestMismatchError

_CHUNK = 1 << 20

_INCOMING_KEPT_S = 24 * 3600
"""An upload that began longer ago was cut off; nobody will finish it."""


class FileArtifactStore:
    """`ports.repository.ArtifactStore` under one root: `<root>/sha256/ab/abcd…`.

    Args:
        private: no other user of the machine may read what is in it.
    """

    def __init__(self, root: Path, *, private: bool = False) -> None:
        self._root = root / "sha256"
        self._incoming = root / "incoming"
        self._private = private

    def add(self, stream: BinaryIO, expected_sha256: str | None = None) -> tuple[str, int]:
        self._make_folders()
        self._clear_incoming()
        descriptor, name = tempfile.mkstemp(dir=self._incoming)
        incoming = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as target:
                sha256, size = _copy(stream, target)
                target.flush()
                os.fsync(target.fileno())
            if expected_sha256 is not None and sha256 != expected_sha256.lower():
                raise DigestMismatchError(
                    f"the artifact's sha256 is {sha256}, not {expected_sha256.lower()}"
                )
            self._keep(incoming, sha256)
            return sha256, size
        finally:
            incoming.unlink(missing_ok=True)

    def path(self, sha256: str) -> Path:
        path = self._path(sha256)
        if not path.is_file():
            raise ArtifactMissingError(f"no artifact with sha256 {sha256}")
        return path

    def discard(self, sha256: str) -> None:
        self._path(sha256).unlink(missing_ok=True)

    def digests(self) -> Sequence[str]:
        return sorted(path.name for path in self._root.glob("??/*") if len(path.name) == 64)

    def taken_at(self, sha256: str) -> datetime:
        return datetime.fromtimestamp(self.path(sha256).stat().st_mtime, UTC)

    def _keep(self, incoming: Path, sha256: str) -> None:
        target = self._path(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Read-only: what a digest names never changes.
        incoming.chmod(0o400 if self._private else 0o444)
        # What is there stays: the content is the same.
        try:
            target.hardlink_to(incoming)
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                os.utime(target)  # young again: it is not collected while its version is made
            return
        except OSError:  # a file system without hard links
            if not target.exists():
                incoming.replace(target)

    def _make_folders(self) -> None:
        # The root itself may be a volume's, of somebody else: what is in it is closed as well.
        mode = 0o700 if self._private else 0o777
        for folder in (self._root.parent, self._root, self._incoming):
            folder.mkdir(mode, parents=True, exist_ok=True)

    def _clear_incoming(self) -> None:
        cut_off = time.time() - _INCOMING_KEPT_S
        for left in self._incoming.iterdir():
            with contextlib.suppress(FileNotFoundError):  # somebody else's upload just ended
                if left.stat().st_mtime < cut_off:
                    left.unlink()

    def _path(self, sha256: str) -> Path:
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise ArtifactMissingError(f"{sha256!r} is no hex sha256")
        return self._root / sha256[:2] / sha256


def _copy(source: BinaryIO, target: BinaryIO) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
        target.write(chunk)
    return digest.hexdigest(), size

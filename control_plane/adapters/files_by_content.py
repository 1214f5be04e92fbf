"""Files under their own sha256, in one folder: `<root>/sha256/ab/abcd…`, read-only."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from control_plane.ports.repository import ArtifactMissingError, DigestMismatchError

_CHUNK = 1 << 20

CUT_OFF_S = 24 * 3600
"""What began to come in longer ago was cut off; nobody will finish it."""

FULL = frozenset((errno.ENOSPC, errno.EDQUOT))


class FilesByContent:
    """A file is made in `<root>/incoming` and gets its name when it is whole, and on the disk.

    Args:
        private: no other user of the machine may read what is in it.
    """

    def __init__(self, root: Path, *, private: bool = False) -> None:
        self.root = root
        self._private = private

    def path(self, sha256: str) -> Path:
        """Where the file of a digest lies, if it is there.

        Raises:
            ArtifactMissingError: it is no digest.
        """
        check_digest(sha256)
        return self.root / "sha256" / sha256[:2] / sha256

    def digests(self) -> Sequence[str]:
        """The sha256 of every file that is there."""
        return sorted(path.name for path in (self.root / "sha256").glob("??/" + "?" * 64))

    @contextlib.contextmanager
    def incoming(self, prefix: str = "") -> Iterator[Path]:
        """An empty file to write to; what is not kept until the context is left is gone."""
        incoming = self._incoming()
        descriptor, name = tempfile.mkstemp(prefix=prefix, dir=incoming)
        os.close(descriptor)
        path = Path(name)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def keep(self, incoming: Path, sha256: str) -> bool:
        """Gives a file from `incoming` its name; False: there is one already, which stays."""
        target = self.path(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync(incoming)
        # Read-only: what a digest names never changes.
        incoming.chmod(0o400 if self._private else 0o444)
        try:
            target.hardlink_to(incoming)
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                os.utime(target)  # young again: it is not collected while its version is made
            return False
        except OSError:  # a file system without hard links
            if target.exists():
                return False
            incoming.replace(target)
        return True

    def clear_cut_off(self) -> None:
        """Drops what came in and was cut off."""
        cut_off = time.time() - CUT_OFF_S
        for left in self._incoming().iterdir():
            with contextlib.suppress(FileNotFoundError):  # somebody else's addition just ended
                if left.stat().st_mtime < cut_off:
                    left.unlink()

    def _incoming(self) -> Path:
        # The root itself may be a volume's, of somebody else: what is in it is closed as well.
        mode = 0o700 if self._private else 0o777
        incoming = self.root / "incoming"
        for folder in (self.root, self.root / "sha256", incoming):
            folder.mkdir(mode, parents=True, exist_ok=True)
        return incoming


def write_stream(
    stream: BinaryIO, path: Path, *, made_room: Callable[[], bool] = lambda: False
) -> tuple[str, int]:
    """Writes a stream to a file; returns its (hex sha256, size in bytes).

    Args:
        made_room: is called when the disk is full; True: it is worth trying again.
    """
    digest, size = hashlib.sha256(), 0
    with path.open("wb", buffering=0) as target:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            left = memoryview(chunk)
            while left:
                try:
                    left = left[target.write(left) :]
                except OSError as error:
                    if error.errno not in FULL or not made_room():
                        raise
    return digest.hexdigest(), size


def check_expected(sha256: str, expected: str | None) -> None:
    """Holds a digest against the one that was announced.

    Raises:
        DigestMismatchError: it is another.
    """
    if expected is not None and sha256 != expected.lower():
        raise DigestMismatchError(f"the artifact's sha256 is {sha256}, not {expected.lower()}")


def check_digest(sha256: str) -> None:
    """Refuses what cannot be the name of a file here.

    Raises:
        ArtifactMissingError: it is no digest.
    """
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise ArtifactMissingError(f"{sha256!r} is no hex sha256")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

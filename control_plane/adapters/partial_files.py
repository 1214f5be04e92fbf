"""Files that are still coming in, on a disk that all workers share."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from control_plane.domain.violations import ConflictError
from control_plane.ports.partial_files import Readable, WrongChecksumError

_CHUNK = 1 << 20

REPORT_EVERY_BYTES = 16 << 20
"""So much of what was received may be lost when this process is killed."""

GONE = "what was uploaded so far is gone: begin again"
BEING_WRITTEN = "another request is writing this upload: wait for its end"


class DiskPartialFiles:
    """`ports.partial_files.PartialFiles` as `<root>/<upload id>`.

    Who writes holds a lock that the kernel drops with the process.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, upload: UUID) -> Path:
        return self._root / str(upload)

    def create(self, upload: UUID) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        self.path(upload).touch(mode=0o600)

    @contextlib.contextmanager
    def locked(self, upload: UUID) -> Iterator[None]:
        try:
            with self.path(upload).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield
        except FileNotFoundError:
            raise ConflictError(GONE) from None
        except BlockingIOError:
            raise ConflictError(BEING_WRITTEN) from None

    def append(
        self,
        upload: UUID,
        offset: int,
        stream: Readable,
        most: int,
        *,
        checksum: tuple[str, bytes] | None,
        arrived: Callable[[int], None],
    ) -> int:
        digest = hashlib.new(checksum[0], usedforsecurity=False) if checksum else None
        place = told = offset
        with self.path(upload).open("r+b") as file:
            # What a killed request left behind the offset never counted.
            file.truncate(offset)
            file.seek(offset)
            while most > 0 and (chunk := read_some(stream, min(_CHUNK, most))):
                file.write(chunk)
                place, most = place + len(chunk), most - len(chunk)
                if digest:
                    digest.update(chunk)
                elif place - told >= REPORT_EVERY_BYTES:
                    file.flush()
                    arrived(place)
                    told = place
            if digest and checksum and digest.digest() != checksum[1]:
                file.truncate(offset)
                raise wrong_checksum(checksum[0])
            file.flush()
            os.fsync(file.fileno())
        arrived(place)
        return place

    @contextlib.contextmanager
    def opened(self, upload: UUID, length: int) -> Iterator[BinaryIO]:
        with self.path(upload).open("rb") as file:
            yield file

    def remove(self, upload: UUID) -> None:
        self.path(upload).unlink(missing_ok=True)

    def left_since(self, moment: datetime) -> list[UUID]:
        if not self._root.is_dir():
            return []
        before = moment.timestamp()
        return [UUID(p.name) for p in self._root.iterdir() if p.stat().st_mtime < before]


def wrong_checksum(algorithm: str) -> WrongChecksumError:
    """What is said of a part that is damaged."""
    return WrongChecksumError(f"the {algorithm} of what arrived is not the one that was sent along")


def read_some(stream: Readable, size: int) -> bytes:
    """What comes next of a sender; nothing where it is at its end, or gone."""
    try:
        return stream.read(size)
    except OSError:  # the connection broke; Django says so by an OSError of its own, too
        return b""

"""Files that are still coming in, one for each unfinished upload, seen by all workers."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

from control_plane.domain.violations import ConflictError

_CHUNK = 1 << 20

REPORT_EVERY_BYTES = 16 << 20
"""So much of what was received may be lost when this process is killed."""


class Readable(Protocol):
    """Where bytes come from."""

    def read(self, size: int, /) -> bytes: ...


class WrongChecksumError(ValueError):
    """What arrived is not what its sender has sent; none of it is kept."""


class PartialFiles:
    """`<root>/<upload id>`; who writes holds a lock that the kernel drops with the process."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, upload: UUID) -> Path:
        return self._root / str(upload)

    def create(self, upload: UUID) -> None:
        """Makes the empty file."""
        self._root.mkdir(parents=True, exist_ok=True)
        self.path(upload).touch(mode=0o600)

    @contextlib.contextmanager
    def locked(self, upload: UUID) -> Iterator[None]:
        """Keeps everybody else from writing this upload.

        Raises:
            ConflictError: somebody else is writing it, or its file is gone.
        """
        try:
            with self.path(upload).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield
        except FileNotFoundError:
            raise ConflictError("what was uploaded so far is gone: begin again") from None
        except BlockingIOError:
            raise ConflictError(
                "another request is writing this upload: wait for its end"
            ) from None

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
        """Writes what the stream gives behind `offset`; returns how far the file goes then.

        A sender that goes away is no error: what it sent stays, unless it has a checksum. Call
        it while the upload is `locked`.

        Args:
            most: the bytes that may come; what comes beyond is left unread.
            checksum: algorithm and digest of what comes; nothing counts before it is verified.
            arrived: is told, now and then, how far the file goes.

        Raises:
            WrongChecksumError: the content has another digest.
        """
        digest = hashlib.new(checksum[0], usedforsecurity=False) if checksum else None
        place = told = offset
        with self.path(upload).open("r+b") as file:
            # What a killed request left behind the offset never counted.
            file.truncate(offset)
            file.seek(offset)
            while most > 0 and (chunk := _read(stream, min(_CHUNK, most))):
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
                raise WrongChecksumError(
                    f"the {checksum[0]} of what arrived is not the one that was sent along"
                )
            file.flush()
            os.fsync(file.fileno())
        arrived(place)
        return place

    def remove(self, upload: UUID) -> None:
        """Drops the file; one that is not there is no error."""
        self.path(upload).unlink(missing_ok=True)

    def left_since(self, moment: datetime) -> list[UUID]:
        """The uploads that there are files of which nobody has written to since then."""
        if not self._root.is_dir():
            return []
        before = moment.timestamp()
        return [UUID(p.name) for p in self._root.iterdir() if p.stat().st_mtime < before]


def _read(stream: Readable, size: int) -> bytes:
    try:
        return stream.read(size)
    except OSError:  # the connection broke; Django says so by an OSError of its own, too
        return b""

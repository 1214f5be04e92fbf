"""What has arrived of uploads that are not finished."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import BinaryIO, Protocol
from uuid import UUID


class Readable(Protocol):
    """Where bytes come from."""

    def read(self, size: int, /) -> bytes: ...


class WrongChecksumError(ValueError):
    """What arrived is not what its sender has sent; none of it is kept."""


class PartialFiles(Protocol):
    """One file for each upload, seen by every process that may be asked to go on with it.

    What lies behind the offset that is on record never counts.
    """

    def create(self, upload: UUID) -> None:
        """Makes the empty file."""
        ...

    def locked(self, upload: UUID) -> AbstractContextManager[None]:
        """Keeps everybody else from writing this upload.

        Raises:
            ConflictError: somebody else is writing it, or its file is gone.
        """
        ...

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
        ...

    def opened(self, upload: UUID, length: int) -> AbstractContextManager[BinaryIO]:
        """A file of which everything is there, to be read once.

        Raises:
            ConflictError: it is gone.
        """
        ...

    def remove(self, upload: UUID) -> None:
        """Drops the file; one that is not there is no error."""
        ...

    def left_since(self, moment: datetime) -> list[UUID]:
        """The uploads that there are files of which nobody has written to since then."""
        ...

"""Files that are still coming in, as pieces in a bucket: who is asked next goes on with them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import BinaryIO, cast
from uuid import UUID

from control_plane.adapters.partial_files import (
    GONE,
    REPORT_EVERY_BYTES,
    read_some,
    wrong_checksum,
)
from control_plane.adapters.s3.bucket import Bucket
from control_plane.domain.violations import ConflictError
from control_plane.ports.partial_files import Readable

PIECE_BYTES = REPORT_EVERY_BYTES
"""A piece is in memory while it is sent."""

Lock = Callable[[UUID], contextlib.AbstractContextManager[None]]


class BucketPartialFiles:
    """`ports.partial_files.PartialFiles` as objects `uploads/<upload id>/<where a piece begins>`.

    What counts is the chain of pieces from the beginning to the offset that is on record. A piece
    that a killed request left lies behind that, and is written over or never comes into the chain.

    Args:
        lock: keeps every other process of every machine away from an upload; ConflictError where
            one is there already.
    """

    def __init__(self, bucket: Bucket, lock: Lock) -> None:
        self._bucket = bucket
        self._lock = lock

    def create(self, upload: UUID) -> None:
        self._bucket.own()

    def locked(self, upload: UUID) -> contextlib.AbstractContextManager[None]:
        return self._lock(upload)

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
        place = offset
        while most > 0 and (piece := _filled(stream, min(PIECE_BYTES, most))):
            self._bucket.write(_key(upload, place), piece)
            place, most = place + len(piece), most - len(piece)
            if digest:
                digest.update(piece)
            else:
                arrived(place)
        if digest and checksum and digest.digest() != checksum[1]:
            raise wrong_checksum(checksum[0])
        arrived(place)
        return place

    @contextlib.contextmanager
    def opened(self, upload: UUID, length: int) -> Iterator[BinaryIO]:
        found = {one.key: one.size for one in self._bucket.listed(f"uploads/{upload}/")}
        place, keys = 0, []
        while place < length:
            key = _key(upload, place)
            if not found.get(key):
                raise ConflictError(GONE)
            keys.append(key)
            place += found[key]
        yield cast(BinaryIO, _Pieces(self._bucket, keys))

    def remove(self, upload: UUID) -> None:
        self._bucket.own()
        for found in list(self._bucket.listed(f"uploads/{upload}/")):
            self._bucket.delete(found.key)

    def left_since(self, moment: datetime) -> list[UUID]:
        written: dict[UUID, datetime] = {}
        for found in self._bucket.listed("uploads/"):
            with contextlib.suppress(ValueError):  # nothing of ours
                upload = UUID(found.key.split("/")[1])
                written[upload] = max(written.get(upload, found.changed_at), found.changed_at)
        return [upload for upload, changed_at in written.items() if changed_at < moment]


class _Pieces:
    """The pieces of a file one after the other, each fetched when it is its turn."""

    def __init__(self, bucket: Bucket, keys: list[str]) -> None:
        self._bucket = bucket
        self._keys = keys
        self._piece = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        while not self._piece and self._keys:
            piece = self._bucket.read(self._keys.pop(0))
            if piece is None:
                raise ConflictError(GONE)
            self._piece = memoryview(piece)
        chunk, self._piece = self._piece[:size], self._piece[size:]
        return bytes(chunk)


def _filled(stream: Readable, size: int) -> bytes:
    """So many bytes of a sender; fewer where it is at its end, or gone."""
    chunks = []
    while size > 0 and (chunk := read_some(stream, size)):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def _key(upload: UUID, place: int) -> str:
    return f"uploads/{upload}/{place:015d}"

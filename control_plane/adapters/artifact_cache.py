"""What was fetched from a store elsewhere, on this machine's disk: verified and bounded."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, Protocol

from control_plane.adapters.files_by_content import FULL, FilesByContent, write_stream
from control_plane.adapters.published import digest_of
from control_plane.ports.repository import ArtifactDamagedError

_LOOK_AFTER = 20
"""The whole is looked at when a 20th of the bound came in: thousands of files are not counted anew
for each one of an archive."""


class Fetch(Protocol):
    """Gets a file from where it lies.

    It writes to the path; before that it says how many bytes will come.
    """

    def __call__(self, path: Path, announce: Callable[[int], None], /) -> None: ...


class ArtifactCache:
    """Files by content, of which those that were used longest ago go when there are too many.

    Any number of processes of one machine share it. Who reads a file holds a shared lock on it, and
    none that is locked is dropped; the kernel lets go of the lock with the process. A fetch holds
    its digest's lock, so that who wants the same waits for it; what it was killed over is dropped
    by the next one.

    Args:
        most_bytes: what is kept; while more than that is being read, more is there.
        private: no other user of the machine may read what is in it.
    """

    def __init__(self, root: Path, most_bytes: int, *, private: bool = False) -> None:
        self._files = FilesByContent(root, private=private)
        self._locks = root / "locks"
        self._most = most_bytes
        self._grown = most_bytes  # since the whole was looked at: it never was
        self._over = False

    @contextlib.contextmanager
    def spooled(self, stream: BinaryIO) -> Iterator[tuple[Path, str, int]]:
        """A stream as a file, its sha256 and its size; when this is left, the cache has it.

        Not where it is left by an error: then there is nothing of it.
        """
        with self._files.incoming() as path:
            sha256, size = write_stream(stream, path, made_room=self._empty)
            yield path, sha256, size
            self._announce(size)
            self._files.keep(path, sha256)
        self._let_go()

    @contextlib.contextmanager
    def held(self, sha256: str, fetch: Fetch, source: str) -> Iterator[Path]:
        """The file of a digest, fetched where it is not here, that stays until the context is left.

        Args:
            source: where it is fetched from, for people.

        Raises:
            ArtifactDamagedError: what was fetched has another digest; none of it is kept.
            OSError: the disk has no room for it.
        """
        file = None
        while file is None:  # what was just there may have been dropped, or was kept by another
            file = self._opened(sha256) or self._fetched(sha256, fetch, source)
        try:
            yield self._files.path(sha256)
        finally:
            file.close()
            self._let_go()

    def drop(self, sha256: str) -> None:
        """Drops a file, whoever reads it; one that is not there is no error."""
        self._files.path(sha256).unlink(missing_ok=True)

    def clear_cut_off(self) -> None:
        """Drops what came in and was cut off over a day ago."""
        self._files.clear_cut_off()

    def _opened(self, sha256: str) -> IO[bytes] | None:
        """The file, locked as one that is read; None: it is not here."""
        path = self._files.path(sha256)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        fcntl.flock(file, fcntl.LOCK_SH)
        if not _is_at(file, path):
            file.close()
            return None
        with contextlib.suppress(PermissionError):  # another user's: it goes a little earlier
            os.utime(file.fileno())
        return file

    def _fetched(self, sha256: str, fetch: Fetch, source: str) -> IO[bytes] | None:
        """The same of one that is fetched first; None: it has to be looked for once more."""
        with self._locked(sha256[:2]):
            if file := self._opened(sha256):
                return file  # somebody else had the lock, and fetched it
            self._drop_left_of(sha256)
            with self._files.incoming(f"{sha256}.") as path:
                self._fill(path, fetch)
                if digest_of(path) != sha256:
                    raise ArtifactDamagedError(
                        f"{source} is damaged: it has {path.stat().st_size} bytes of another "
                        "content than its name says. Delete it, and send the version's file again"
                    )
                file = path.open("rb")
                fcntl.flock(file, fcntl.LOCK_SH)  # before anybody sees it, and could drop it
                if self._files.keep(path, sha256):
                    return file
                file.close()
        return None

    def _fill(self, path: Path, fetch: Fetch) -> None:
        try:
            fetch(path, self._announce)
        except OSError as error:
            if error.errno not in FULL or not self._empty():
                raise
            fetch(path, self._announce)

    def _drop_left_of(self, sha256: str) -> None:
        """Drops what fetches of this digest left that were killed."""
        for left in (self._files.root / "incoming").glob(f"{sha256}.*"):
            left.unlink(missing_ok=True)

    def _announce(self, size: int) -> None:
        """Makes room for so many bytes."""
        self._grown += size
        if self._grown * _LOOK_AFTER > self._most:
            self._evict(size)

    def _let_go(self) -> None:
        """Drops what there was no room for, and that had to be there as long as it was read."""
        if self._over:
            self._evict(0)

    def _empty(self) -> bool:
        """Drops all that nobody reads; whether that was anything."""
        return self._evict(self._most) > 0

    def _evict(self, room: int) -> int:
        """Drops what was used longest ago, until there is so much room; returns the bytes."""
        with self._locked("eviction"):
            found = sorted(self._entries())
            total, freed = sum(size for _, size, _ in found), 0
            for _, size, path in found:
                if total - freed + room <= self._most:
                    break
                if _dropped(path):
                    freed += size
            self._grown = 0
            self._over = total - freed + room > self._most
        return freed

    def _entries(self) -> Iterator[tuple[int, int, Path]]:
        """When each file was used last, its size, and where it is."""
        for sha256 in self._files.digests():
            path = self._files.path(sha256)
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                yield status.st_mtime_ns, status.st_size, path

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Holds a lock against every other thread and process; the kernel drops it with them."""
        self._locks.mkdir(parents=True, exist_ok=True)
        with (self._locks / name).open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _dropped(path: Path) -> bool:
    """Drops a file unless somebody reads it; whether it is gone."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, path):
                path.unlink()
    except BlockingIOError:
        return False
    except FileNotFoundError:
        pass
    return True


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False

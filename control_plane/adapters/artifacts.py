"""The artifact store on a disk that all who use it share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from control_plane.adapters.files_by_content import FilesByContent, check_expected, write_stream
from control_plane.ports.repository import ArtifactMissingError, ArtifactStoreFailedError


class FileArtifactStore:
    """`ports.repository.ArtifactStore` under one root: `<root>/sha256/ab/abcd…`.

    Args:
        private: no other user of the machine may read what is in it.
    """

    def __init__(self, root: Path, *, private: bool = False) -> None:
        self._files = FilesByContent(root, private=private)

    @property
    def place(self) -> str:
        return str(self._files.root)

    def add(self, stream: BinaryIO, expected_sha256: str | None = None) -> tuple[str, int]:
        self._files.clear_cut_off()
        with self._files.incoming() as incoming:
            sha256, size = write_stream(stream, incoming)
            check_expected(sha256, expected_sha256)
            self._files.keep(incoming, sha256)
        return sha256, size

    def path(self, sha256: str) -> Path:
        """Where the file lies.

        Raises:
            ArtifactMissingError: there is none.
        """
        path = self._files.path(sha256)
        if not path.is_file():
            raise ArtifactMissingError(f"no artifact with sha256 {sha256}")
        return path

    @contextlib.contextmanager
    def held(self, sha256: str) -> Iterator[Path]:
        yield self.path(sha256)

    def missing(self, digests: Iterable[str]) -> frozenset[str]:
        return frozenset(one for one in digests if not self._files.path(one).is_file())

    def spoilt(self, sha256: str) -> str:
        return "Remove that file and send the version's file again"

    def discard(self, sha256: str) -> None:
        self._files.path(sha256).unlink(missing_ok=True)

    def digests(self) -> Sequence[str]:
        return self._files.digests()

    def taken_at(self, sha256: str) -> datetime:
        return datetime.fromtimestamp(self.path(sha256).stat().st_mtime, UTC)

    def clear_cut_off(self) -> None:
        self._files.clear_cut_off()

    def check(self) -> None:
        root = self._files.root
        if root.exists() and not os.access(root, os.W_OK | os.X_OK):
            raise ArtifactStoreFailedError(
                f"{root} may not be written to by this user: chown it to who runs the API"
            )

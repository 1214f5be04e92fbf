"""A Triton model repository on one node's disk, and the artifacts it links to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from control_plane.domain.planning.plan import ModelDirectory


class ArtifactMissingError(LookupError):
    """The artifact store has no file with that digest."""


class ArtifactDamagedError(RuntimeError):
    """A file of the artifact store is not what its digest says: cut off, or spoilt."""


class ArtifactStore(Protocol):
    """Files by content: what a sha256 names never changes."""

    def add(self, stream: BinaryIO, expected_sha256: str | None = None) -> tuple[str, int]:
        """Stores a stream; returns (hex sha256, size in bytes). The same content is kept once.

        Raises:
            DigestMismatchError: the content is not what was expected; nothing is kept.
        """
        ...

    def path(self, sha256: str) -> Path:
        """Where the file lies, read-only.

        Raises:
            ArtifactMissingError: there is none.
        """
        ...

    def discard(self, sha256: str) -> None:
        """Drops a file that nothing refers to; one that is not there is no error."""
        ...

    def digests(self) -> Sequence[str]:
        """The sha256 of every file that is there."""
        ...

    def taken_at(self, sha256: str) -> datetime:
        """When the content was last sent here.

        Raises:
            ArtifactMissingError: there is none.
        """
        ...


class DigestMismatchError(ValueError):
    """What arrived is not what the sender said it would send."""


class ModelRepository(Protocol):
    """The directory that Triton loads models from."""

    def publish(self, directory: ModelDirectory, accelerator: str) -> None:
        """Makes the directory exist as planned, all at once or not at all.

        Raises:
            ArtifactMissingError: a linked artifact is not in the store.
            ArtifactDamagedError: what the store has is not what the digest says.
            PrefixTakenError: another content already bears this physical name.
        """
        ...

    def republish(self, directory: ModelDirectory, accelerator: str) -> None:
        """Makes a directory of ours anew as planned, whatever has become of it.

        Raises:
            ArtifactMissingError, ArtifactDamagedError: as `publish`.
        """
        ...

    def differences(self, name: str) -> Sequence[str] | None:
        """How a directory differs from what was published, in words; None: that is not known."""
        ...

    def is_ours(self, name: str) -> bool:
        """Whether Nereid made the directory of that name, or none but Nereid would."""
        ...

    def clear_staging(self) -> Sequence[str]:
        """Drops what publications left that were cut off, and says what it was."""
        ...

    def remove(self, name: str) -> None:
        """Removes a directory; one that is not there is no error."""
        ...

    def names(self) -> Sequence[str]:
        """The directories that are there, sorted."""
        ...

    def read(self, name: str, path: str) -> bytes:
        """A file of a directory.

        Raises:
            OSError: it is not there.
        """
        ...


class PrefixTakenError(RuntimeError):
    """Two different contents share a physical name: the digest's prefix collides."""

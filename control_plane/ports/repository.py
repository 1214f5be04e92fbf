"""A Triton model repository on one node's disk, and the artifacts it links to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from control_plane.domain.planning.plan import ModelDirectory


class ArtifactMissingError(LookupError):
    """The artifact store has no file with that digest."""


class ArtifactDamagedError(RuntimeError):
    """A file of the artifact store is not what its digest says: cut off, or spoilt."""


class ArtifactStoreFailedError(OSError):
    """The store is away, or refuses; the message says what, where, and what to do.

    An OSError: whoever lives with a disk that fails lives with a bucket that does.
    """


class ArtifactStore(Protocol):
    """Files by content: what a sha256 names never changes.

    Each of these raises ArtifactStoreFailedError where the store cannot be asked.
    """

    @property
    def place(self) -> str:
        """Where it is, for people."""
        ...

    def add(self, stream: BinaryIO, expected_sha256: str | None = None) -> tuple[str, int]:
        """Stores a stream; returns (hex sha256, size in bytes). The same content is kept once.

        Raises:
            DigestMismatchError: the content is not what was expected; nothing is kept.
        """
        ...

    def held(self, sha256: str) -> AbstractContextManager[Path]:
        """The file, whole and read-only; it stays where it is until the context is left.

        A store elsewhere fetches it first: what is held costs a disk, so hold few at once.

        Raises:
            ArtifactMissingError: there is none.
            ArtifactDamagedError: what a store elsewhere has is not what the digest says.
        """
        ...

    def missing(self, digests: Iterable[str]) -> frozenset[str]:
        """Which of these the store does not have."""
        ...

    def spoilt(self, sha256: str) -> str:
        """Takes note that what was held is not what its digest says; returns what to do."""
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

    def clear_cut_off(self) -> None:
        """Drops what was left of additions that began over a day ago and came to no end."""
        ...

    def check(self) -> None:
        """Nothing, where the store can be used."""
        ...


def read_artifact(store: ArtifactStore, sha256: str) -> bytes:
    """What is in a file, of a few megabytes at most; errors as of `held`."""
    with store.held(sha256) as path:
        return path.read_bytes()


class DigestMismatchError(ValueError):
    """What arrived is not what the sender said it would send."""


class ModelRepository(Protocol):
    """The directory that Triton loads models from."""

    def publish(self, directory: ModelDirectory, accelerator: str) -> None:
        """Makes the directory exist as planned, all at once or not at all.

        Raises:
            ArtifactMissingError: a linked artifact is not in the store.
            ArtifactDamagedError: what the store has is not what the digest says.
            ArtifactStoreFailedError: the store is away, or refuses.
            PrefixTakenError: another content already bears this physical name.
        """
        ...

    def republish(self, directory: ModelDirectory, accelerator: str) -> None:
        """Makes a directory of ours anew as planned, whatever has become of it.

        Raises:
            ArtifactMissingError, ArtifactDamagedError, ArtifactStoreFailedError: as `publish`.
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

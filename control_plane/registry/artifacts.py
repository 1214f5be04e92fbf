"""What of the artifact store is referred to, held against two who upload the same at once."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from django.db import connection, transaction

from control_plane.adapters.backup.taking import HOLD_LOCK
from control_plane.domain.violations import ConflictError, InvalidInputError, Violation
from control_plane.ports.repository import (
    ArtifactStore,
    DigestMismatchError,
)
from control_plane.registry.models import Artifact


class Intake:
    """Files that came in with one upload; those that nothing refers to in the end are dropped."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self._sizes: dict[str, int] = {}

    def add(self, stream: BinaryIO, expected_sha256: str | None = None) -> str:
        """Stores a file; returns its sha256.

        Raises:
            InvalidInputError: the content is not what was announced.
        """
        try:
            sha256, size = self._store.add(stream, expected_sha256)
        except DigestMismatchError as error:
            raise InvalidInputError([Violation("/sha256", "mismatch", str(error))]) from error
        self._sizes[sha256] = size
        return sha256

    def add_bytes(self, content: bytes) -> str:
        """Stores what was made here; returns its sha256."""
        return self.add(io.BytesIO(content))

    def add_all(self, files: Mapping[str, Path]) -> dict[str, str]:
        """Stores files by name; returns their sha256 by name."""
        found = {}
        for name, path in files.items():
            with path.open("rb") as file:
                found[name] = self.add(file)
        return found

    def held(self, sha256: str) -> AbstractContextManager[Path]:
        """Where one of them lies until the context is left."""
        return self._store.held(sha256)

    def claim(self) -> None:
        """Refers to all of them, in the present transaction.

        Raises:
            ConflictError: another upload of the same content failed just now and took it away.
        """
        for sha256 in sorted(self._sizes):  # in order: two who want the same wait, never both
            lock_artifact(sha256)
            Artifact.objects.get_or_create(sha256=sha256, defaults={"size": self._sizes[sha256]})
        if self._store.missing(self._sizes):
            raise ConflictError("the same file was just refused elsewhere: upload it again")

    def discard_unclaimed(self) -> None:
        """Drops those that no version and no other upload refers to."""
        for sha256 in sorted(self._sizes):
            discard_unless_claimed(sha256, self._store)


@contextlib.contextmanager
def intake(store: ArtifactStore) -> Iterator[Intake]:
    """Takes files in; when it is left by an error, what nothing refers to is gone again."""
    files = Intake(store)
    try:
        yield files
    except BaseException:
        # Where the store fails, too, the reason that is told is the first; what is left of the
        # upload is collected.
        with contextlib.suppress(OSError):
            files.discard_unclaimed()
        raise


def discard_unless_claimed(sha256: str, store: ArtifactStore) -> None:
    """Drops a file of the store that has no row."""
    with transaction.atomic():
        lock_artifact(sha256)
        if not Artifact.objects.filter(sha256=sha256).exists():
            store.discard(sha256)


def may_drop_files() -> bool:
    """Whether no backup is under way; where none is, none begins before the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [HOLD_LOCK])
        return bool(cursor.fetchone()[0])


def lock_artifact(sha256: str) -> None:
    """Until the transaction ends nobody else claims or discards the file."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int(sha256[:15], 16)])

"""What a backup says of itself: `manifest.json`, written last, so that without it there is none."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from control_plane.adapters.private_files import write_private

FORMAT = 1
MANIFEST, DUMP, SECRETS = "manifest.json", "database.dump", "secrets.json"
STORES = ("artifacts", "recordings")

_CHUNK = 1 << 20


class BackupError(RuntimeError):
    """A backup cannot be taken, read or put back; says why, and what to do."""


@dataclass(frozen=True)
class StoredFile:
    """A file by its content."""

    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is in a backup.

    Attributes:
        made_at: when the database was looked at, ISO 8601 in UTC.
        version: of the Nereid that made it.
        postgres: the version of the server that was dumped.
        registry, telemetry: the migrations that either store had, `app.name` and revisions.
        dump, secrets: those files; `secrets` None: left out.
        stores: the files of each store of files, by its name.
        missing: files that the database speaks of and that could not be copied, with the reason.
        secret_mark: tells whether a server has the secret that the database was sealed with.
    """

    made_at: str
    version: str
    postgres: int
    registry: tuple[str, ...]
    telemetry: tuple[str, ...]
    dump: StoredFile
    secrets: StoredFile | None
    stores: Mapping[str, tuple[StoredFile, ...]]
    missing: tuple[str, ...]
    secret_mark: str

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        own = [self.dump, *([self.secrets] if self.secrets else [])]
        return sum(one.size for one in own + [f for files in self.stores.values() for f in files])

    def write(self, folder: Path) -> None:
        document = {"format": FORMAT, **asdict(self)}
        write_private(folder / MANIFEST, json.dumps(document, indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup.

    Raises:
        BackupError: there is none, or it is none that this version understands.
    """
    path = folder / MANIFEST
    try:
        raw = json.loads(path.read_text())
        if raw["format"] != FORMAT:
            raise BackupError(
                f"{path} has format {raw['format']}, this Nereid reads {FORMAT}: restore with the "
                f"version that made it ({raw.get('version', 'unknown')}) or a newer one"
            )
        return Manifest(
            made_at=str(raw["made_at"]),
            version=str(raw["version"]),
            postgres=int(raw["postgres"]),
            registry=tuple(map(str, raw["registry"])),
            telemetry=tuple(map(str, raw["telemetry"])),
            dump=StoredFile(**raw["dump"]),
            secrets=StoredFile(**raw["secrets"]) if raw["secrets"] else None,
            stores={name: _files(raw["stores"][name]) for name in STORES},
            missing=tuple(map(str, raw["missing"])),
            secret_mark=str(raw["secret_mark"]),
        )
    except FileNotFoundError:
        raise BackupError(f"{folder} is no backup: it has no {MANIFEST}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{path} cannot be read: {error!r}") from error


def _files(raw: Sequence[Mapping[str, Any]]) -> tuple[StoredFile, ...]:
    return tuple(StoredFile(str(one["sha256"]), int(one["size"])) for one in raw)


def measured(path: Path) -> StoredFile:
    """A file's digest and size."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return StoredFile(digest.hexdigest(), size)


def in_a_line(error: Exception) -> str:
    """What a database says, which is often several lines with a piece of a query in them."""
    return str(error).strip().partition("\n")[0]


def secret_mark(secret_key: str) -> str:
    """Says whether two secrets are the same, and nothing of them."""
    return hmac.digest(secret_key.encode(), b"nereid backup", "sha256").hex()[:16]

"""Taking a backup while everything runs.

The database is looked at first, and its files are copied after. A file of a store is named by its
content, never changes, and is stored before the row that speaks of it is committed: so whatever the
snapshot speaks of is there when the snapshot is made. The other way round, a version uploaded
between the two would be in the dump and its file would not. What is left to fear is that a file is
dropped before it was copied: so nothing is collected while a backup is under way (`HOLD_LOCK`).
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql

from control_plane.adapters.artifacts import FileArtifactStore
from control_plane.adapters.backup import postgres_programs
from control_plane.adapters.backup.manifest import (
    DUMP,
    SECRETS,
    STORES,
    BackupError,
    Manifest,
    StoredFile,
    in_a_line,
    measured,
    secret_mark,
)
from control_plane.adapters.private_files import write_private
from control_plane.ports.repository import (
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactStore,
    ArtifactStoreFailedError,
    DigestMismatchError,
)

HOLD_LOCK = 0x4E65726569640001
"""The number of the advisory lock that a backup shares and that whoever drops files must have."""

_QUERIES: Mapping[str, LiteralString] = {
    "artifacts": "SELECT sha256, size FROM registry_artifact ORDER BY sha256",
    "recordings": "SELECT DISTINCT digest, 0 FROM tuning_recording WHERE digest <> '' ORDER BY 1",
}


@dataclass(frozen=True, kw_only=True)
class State:
    """Where the state of a control plane is.

    `keys` are what a server must be started with to read and steer what is backed up, by name.
    """

    address: str = field(repr=False)
    stores: Mapping[str, ArtifactStore]
    keys: Mapping[str, str] = field(repr=False)
    version: str


def take(
    state: State,
    target: Path,
    *,
    with_secrets: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Makes the folder `target` a backup of all state: whole, or not there.

    Args:
        with_secrets: put the keys beside it; without them sealed secrets (of webhooks) are lost.
        tell: is told what is being done.

    Raises:
        BackupError: it cannot be made; nothing is left of it.
    """
    target = target.absolute()
    if target.exists():
        raise BackupError(f"{target} is there already: a backup is a new folder")
    _check_place(target.parent)
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise BackupError(f"{target} cannot be made: {error}") from error
    try:
        if stat.S_IMODE(draft.stat().st_mode) & 0o077:
            raise BackupError(f"{target.parent} lets others read what is put there: choose another")
        manifest = _fill(state, draft, with_secrets, tell)
        manifest.write(draft)
        # Before it gets its name; the other files wrote themselves through.
        _sync(draft / DUMP, *(path for path in draft.rglob("*") if path.is_dir()), draft)
        draft.rename(target)
        _sync(target.parent)
    except ArtifactStoreFailedError as error:
        raise BackupError(f"nothing was kept: {error}") from error
    except OSError as error:
        raise BackupError(f"{target} cannot be written: {error}") from error
    except psycopg.Error as error:
        raise BackupError(f"the database cannot be read: {in_a_line(error)}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest


def _check_place(parent: Path) -> None:
    """Refuses a folder where others could put something else in the backup's place."""
    if not parent.is_dir():
        raise BackupError(f"{parent} is no folder: make it first")
    mode = parent.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise BackupError(
            f"everybody may write to {parent}, and a backup holds keys: chmod o-w it, or choose "
            "another place"
        )


def _fill(state: State, draft: Path, secrets: bool, tell: Callable[[str], None]) -> Manifest:
    with psycopg.connect(state.address, connect_timeout=10, autocommit=True) as holding:
        holding.execute("SELECT pg_advisory_lock_shared(%s)", [HOLD_LOCK])
        made_at = datetime.now(UTC)
        with psycopg.connect(state.address, connect_timeout=10) as link:
            link.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            link.read_only = True
            found = link.execute("SELECT pg_export_snapshot()").fetchone()
            if found is None:
                raise BackupError("PostgreSQL exports no snapshot")
            server = link.info.server_version // 10_000
            tell(f"database ({link.info.dbname}, PostgreSQL {server})")
            dump = draft / DUMP
            postgres_programs.dump(state.address, server=server, snapshot=found[0], target=dump)
            named = {name: _rows(link, _QUERIES[name]) for name in STORES}
            registry, telemetry = migrations_of(link)
        stores: dict[str, tuple[StoredFile, ...]] = {}
        missing: list[str] = []
        for name in STORES:
            tell(f"{name} ({len(named[name])} files)")
            stores[name] = _copied(state.stores[name], draft / name, named[name], missing)
    return Manifest(
        made_at=made_at.isoformat(timespec="seconds"),
        version=state.version,
        postgres=server,
        registry=registry,
        telemetry=telemetry,
        dump=measured(dump),
        secrets=_write_keys(draft / SECRETS, state.keys) if secrets else None,
        stores=stores,
        missing=tuple(missing),
        secret_mark=secret_mark(state.keys["secret_key"]),
    )


def migrations_of(link: psycopg.Connection) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The migrations that a database has: the registry's `app.name`, and telemetry's revisions."""
    registry = _rows(link, "SELECT app || '.' || name, 0 FROM django_migrations ORDER BY 1")
    place = link.execute("SELECT to_regclass('telemetry.alembic_version') IS NOT NULL").fetchone()
    telemetry = (
        _rows(link, "SELECT version_num, 0 FROM telemetry.alembic_version ORDER BY 1")
        if place and place[0]
        else []
    )
    return tuple(name for name, _ in registry), tuple(name for name, _ in telemetry)


def _rows(link: psycopg.Connection, query: LiteralString) -> list[tuple[str, int]]:
    return [(str(name), int(size)) for name, size in link.execute(sql.SQL(query))]


def _copied(
    store: ArtifactStore, target: Path, named: Iterable[tuple[str, int]], missing: list[str]
) -> tuple[StoredFile, ...]:
    """Copies what is named, each file read back against its name."""
    copies = FileArtifactStore(target, private=True)
    found = []
    for sha256, _ in named:
        try:
            with store.held(sha256) as path, path.open("rb") as file:
                _, size = copies.add(file, sha256)
            found.append(StoredFile(sha256, size))
        except (ArtifactMissingError, FileNotFoundError):  # also between a look and the opening
            missing.append(f"{target.name}: {sha256} is not there")
        except (DigestMismatchError, ArtifactDamagedError) as error:
            missing.append(f"{target.name}: {sha256} is damaged ({error})")
    return tuple(found)


def _write_keys(path: Path, keys: Mapping[str, str]) -> StoredFile:
    write_private(path, json.dumps(dict(keys), indent=2) + "\n")
    return measured(path)


def _sync(*paths: Path) -> None:
    """These files and folders are on the disk when this returns; of folders, which names are."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

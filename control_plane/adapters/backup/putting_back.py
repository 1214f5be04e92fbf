"""Putting a backup back: into an empty control plane, or in the place of what is there."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import psycopg

from control_plane.adapters.backup import postgres_programs
from control_plane.adapters.backup.manifest import (
    DUMP,
    BackupError,
    Manifest,
    StoredFile,
    in_a_line,
    measured,
)
from control_plane.adapters.backup.taking import State
from control_plane.adapters.backup.verifying import stored_at, verify
from control_plane.ports.repository import (
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactStore,
    DigestMismatchError,
)


def put_back(
    state: State,
    source: Path,
    *,
    known_migrations: Collection[str],
    replace: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Puts all state back; the caller migrates it, and starts the processes.

    Files come first, and the database in one transaction: whatever is interrupted, the database
    speaks of no file that is not there, and the same command can be given again.

    Args:
        known_migrations: what this version has, `app.name` and telemetry's revisions.
        replace: what is in the database goes. Files that are there already stay, unless they are
            damaged: they are named by their content, and what nothing speaks of is collected.

    Raises:
        BackupError: the backup is not whole or of a newer version, somebody works on the database,
            or there is something in it and `replace` is not given. Nothing was changed.
    """
    tell("reading every file of the backup")
    manifest, wrong = verify(source)
    if wrong:
        raise BackupError("the backup is not whole: " + "; ".join(wrong[:5]))
    newer = sorted({*manifest.registry, *manifest.telemetry} - set(known_migrations))
    if newer:
        raise BackupError(
            f"the backup was made by a newer Nereid ({manifest.version}): this one does not know "
            f"{', '.join(newer[:5])}. Upgrade this one first"
        )
    try:
        server = _check_target(state.address, replace)
        for name, files in manifest.stores.items():
            tell(f"{name} ({len(files)} files)")
            for one in files:
                _add(state.stores[name], stored_at(source, name, one), one)
    except psycopg.Error as error:
        raise BackupError(f"the database cannot be asked: {in_a_line(error)}") from error
    except (OSError, DigestMismatchError) as error:
        raise BackupError(
            f"a file cannot be put back, the database is as it was: {error}"
        ) from error
    tell("database")
    postgres_programs.load(
        state.address, server=server, dumped_from=manifest.postgres, source=source / DUMP
    )
    return manifest


def _add(store: ArtifactStore, file: Path, expected: StoredFile) -> None:
    """Puts one file into a store; one that is there and spoilt is no reason to keep it."""
    if _is_spoilt(store, expected):
        store.discard(expected.sha256)
    with file.open("rb") as stream:
        store.add(stream, expected.sha256)


def _is_spoilt(store: ArtifactStore, expected: StoredFile) -> bool:
    try:
        with store.held(expected.sha256) as path:
            return measured(path) != expected
    except ArtifactMissingError:
        return False
    except ArtifactDamagedError:
        return True


def _check_target(address: str, replace: bool) -> int:
    """The major version of the server, where the database may be replaced.

    Raises:
        BackupError: see `put_back`.
    """
    with psycopg.connect(address, connect_timeout=10) as link:
        tables = link.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'telemetry')"
        ).fetchone()
        if tables and tables[0] and not replace:
            raise BackupError(
                f"the database {link.info.dbname} is not empty ({tables[0]} tables): give an empty "
                "one, or say --replace, and what is in it is gone"
            )
        others = link.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        ).fetchone()
        if others and others[0]:
            raise BackupError(
                f"{others[0]} others are connected to the database {link.info.dbname}: stop the "
                "API, workers, beat, nodes and the edge's writer first (Tritons and Envoy may go "
                "on)"
            )
        return link.info.server_version // 10_000

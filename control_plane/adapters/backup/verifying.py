"""Whether a backup is whole: every file is read, and held against the manifest."""

from __future__ import annotations

from pathlib import Path

from control_plane.adapters.backup.manifest import (
    DUMP,
    SECRETS,
    Manifest,
    StoredFile,
    measured,
    read_manifest,
)


def verify(folder: Path) -> tuple[Manifest, list[str]]:
    """The manifest, and what is wrong in words; nothing where it can be put back.

    Raises:
        BackupError: it is no backup.
    """
    manifest = read_manifest(folder)
    expected = [(folder / DUMP, manifest.dump)]
    if manifest.secrets:
        expected.append((folder / SECRETS, manifest.secrets))
    for name, files in manifest.stores.items():
        expected += [(stored_at(folder, name, one), one) for one in files]
    return manifest, [wrong for path, one in expected if (wrong := _wrong(path, one))]


def stored_at(folder: Path, store: str, file: StoredFile) -> Path:
    """Where a backup keeps a file of a store."""
    return folder / store / "sha256" / file.sha256[:2] / file.sha256


def _wrong(path: Path, expected: StoredFile) -> str:
    try:
        found = measured(path)
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    if found.size != expected.size:
        return f"{path} has {found.size} bytes, not {expected.size}"
    return "" if found == expected else f"{path} is damaged: its sha256 is another"

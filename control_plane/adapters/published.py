"""What was published, file by file, and how it differs from what lies there now.

A look costs a `stat` of each file. A file is read only where its time, size or inode is another
than it was: changing it without that needs a clock set back.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from control_plane.domain.names import printable

_Mark = tuple[int, int, int, int]


class PublishedFiles:
    """Records of a repository's directories, one JSON file each under `records`.

    `is_own(directory, path)` says that a file which nobody published may be there.
    """

    def __init__(self, root: Path, records: Path, is_own: Callable[[str, str], bool]) -> None:
        self._root = root
        self._records = records
        self._is_own = is_own

    def keep(self, name: str, digests: Mapping[str, str]) -> None:
        """Takes a directory's files as they lie there for what was published.

        Args:
            digests: path -> sha256; empty where it is not known, and the file is read.
        """
        self._write(
            name,
            {
                path: [digests[path] or digest_of(file), *_mark(file)]
                for path, file in files_of(self._root / name).items()
                if path in digests
            },
        )

    def forget(self, name: str) -> None:
        """Nothing of that name is published any more."""
        self._path(name).unlink(missing_ok=True)

    def is_known(self, name: str) -> bool:
        """Whether the directory was published here."""
        try:
            return self._path(name).exists()
        except OSError:  # somebody's own, of a name that is too long for a record
            return False

    def differences(self, name: str) -> list[str] | None:
        """What of a directory is not as it was published, in words; None where that is unknown."""
        kept = self._read(name)
        if kept is None:
            return None
        folder = self._root / name
        if not folder.is_dir():
            return ["the directory is gone"]
        there = files_of(folder)
        found = [f"{path} is gone" for path in sorted(kept.keys() - there.keys())]
        added = (path for path in there.keys() - kept.keys() if not self._is_own(name, path))
        found += [f"{path} was added" for path in sorted(added)]
        folders = {str(parent) for path in kept for parent in PurePosixPath(path).parents}
        found += [
            f"{entry.name}/ was added"
            for entry in sorted(folder.iterdir())
            if entry.is_dir()
            and entry.name not in folders
            and not any(path.startswith(f"{entry.name}/") for path in there)
            and not self._is_own(name, f"{entry.name}/")
        ]
        touched = False
        for path in sorted(kept.keys() & there.keys()):
            digest, *mark = kept[path]
            if tuple(mark) == _mark(there[path]):
                continue
            if digest_of(there[path]) != digest:
                found.append(f"{path} was edited")
            else:
                kept[path] = [digest, *_mark(there[path])]
                touched = True
        if touched:
            self._write(name, kept)
        return [printable(said) for said in found]

    def _path(self, name: str) -> Path:
        return self._records / f"{name}.json"

    def _read(self, name: str) -> dict[str, list[str | int]] | None:
        try:
            kept: dict[str, list[str | int]] = json.loads(self._path(name).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return kept

    def _write(self, name: str, kept: Mapping[str, list[str | int]]) -> None:
        self._records.mkdir(parents=True, exist_ok=True)
        draft = self._records / f".{uuid.uuid4().hex}"
        try:
            draft.write_text(json.dumps(kept))
            draft.replace(self._path(name))
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)


def files_of(root: Path) -> dict[str, Path]:
    """Every file below a directory, by its path there."""
    return {str(p.relative_to(root)): p for p in sorted(root.rglob("*")) if p.is_file()}


def digest_of(path: Path) -> str:
    """The hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mark(path: Path) -> _Mark:
    status: os.stat_result = path.stat()
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

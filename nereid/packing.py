"""A version of a Triton repository as one file: the model's own, or an archive of all it has.

The same content is the same archive, byte for byte, whenever and wherever it is made.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nereid.upload import sha256_of

BESIDE = "__model__/"
"""In an archive: what lies beside the versions' folders."""

INITIAL_STATE = "initial_state/"
"""Beside the versions, and at an archive's top: what the states of sequences begin with."""


@dataclass(frozen=True)
class Packed:
    """What is sent of a version, by its name in the archive; one file alone goes as it is.

    There may be none: some backends need no file.
    """

    files: Mapping[str, Path]
    alone: bool

    def sha256(self) -> str:
        """The digest of what is sent; nothing is written."""
        if self.alone:
            [path] = self.files.values()
            return sha256_of(path)
        sink = _Digest()
        self._write(sink)
        return sink.hexdigest()

    @contextmanager
    def file(self) -> Iterator[Path]:
        """What is sent, on disk until the context is left."""
        if self.alone:
            yield from self.files.values()
            return
        with TemporaryDirectory(prefix="nereid-") as folder:
            path = Path(folder) / "model.tar"
            with path.open("wb") as target:
                self._write(target)
            yield path

    def _write(self, target: Any) -> None:
        with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            if not self.files:  # one without any member could not be told from a file of zeros
                folder = tarfile.TarInfo("./")
                folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(folder)
            for name, path in sorted(self.files.items()):
                member = tarfile.TarInfo(name)
                member.size = path.stat().st_size
                member.mode = 0o644
                with path.open("rb") as source:
                    archive.addfile(member, source)


def packed(
    version: Mapping[str, Path],
    beside: Mapping[str, Path],
    *,
    main_file: str,
    placed_as: str,
    environment: str = "",
    named: bool = False,
) -> Packed:
    """A version with what lies beside it.

    Args:
        version: the files of its folder.
        beside: those of the model's directory.
        main_file: the model's own, in the folder; it is placed as `placed_as`.
        named: its files are known by their names alone, so that no file goes without.
        environment: an execution environment beside the versions, which goes into the folder.
    """
    files = {placed_as if name == main_file else name: path for name, path in version.items()}
    for name, path in beside.items():
        inside = name == environment or name.startswith(INITIAL_STATE)
        files.setdefault(name if inside else f"{BESIDE}{name}", path)
    alone = list(files) == [placed_as] and "/" not in placed_as and not named
    return Packed(files, alone)


class _Digest:
    """What is written is only counted into a digest."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def write(self, chunk: Any) -> int:
        self._digest.update(chunk)
        return len(chunk)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()

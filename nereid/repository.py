"""A Triton model repository on this machine: what lies where, and nothing from outside it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nereid.errors import NereidError

CONFIG = "config.pbtxt"
HIGHEST_VERSION = 999_999_999
MAX_CONFIG_BYTES = 4 << 20
MAX_ENTRIES = 10_000
"""Files and folders of one model; links to folders count with all that they lead to."""

MAX_LEVELS = 32
_NUMBER = re.compile(r"[1-9][0-9]*")
_IGNORED = {"__pycache__", "__MACOSX", "lost+found"}


class RepositoryError(NereidError):
    """There is no repository at that place; the message says what was looked for."""


@dataclass(frozen=True)
class LocalModel:
    """One model's directory.

    `versions` has the files of each numeric folder, `files` those beside the folders, by path in
    it. `strays` leads out of the repository, and `left_out` is what cannot have its number here, in
    words. `alone`: a configuration without its directory.
    """

    name: str
    config: str | None = None
    versions: Mapping[int, Mapping[str, Path]] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    strays: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    alone: bool = False

    def described(self) -> dict[str, Any]:
        """As the server is told of it: names, and the configuration's text."""
        return {
            "name": self.name,
            "config": self.config,
            "versions": None
            if self.alone
            else {str(n): sorted(files) for n, files in self.versions.items()},
            "files": sorted(self.files),
        }


def read_repository(path: Path) -> list[LocalModel]:
    """The models of a repository, of one model's directory, or of one configuration file.

    Symbolic links are followed within the repository; what leads out of it is not read.

    Raises:
        RepositoryError: there is no model.
    """
    if path.is_file():
        return [_of_file(path)]
    if not path.is_dir():
        raise RepositoryError(f"{path} is no directory and no file")
    if _is_model(path):
        return [_model(path, path.resolve())]
    root = path.resolve()
    if unnamed := [folder for folder in _folders(path) if not is_text(folder.name)]:
        raise RepositoryError(f"{str(unnamed[0])!a}: a folder whose name is no UTF-8")
    found = [_model(folder, root) for folder in _folders(path) if _is_model(folder)]
    if not found:
        raise RepositoryError(
            f"{path} is no Triton model repository\nNo folder in it has a {CONFIG}, or a folder "
            "with a number as its name."
        )
    return found


def _of_file(path: Path) -> LocalModel:
    folder = path.parent
    if path.name == CONFIG and any(_versions(folder)):
        return _model(folder, folder.resolve())
    return LocalModel(path.stem, read_text(path), alone=True)


def _folders(path: Path) -> list[Path]:
    return sorted(
        entry
        for entry in path.iterdir()
        if entry.is_dir() and entry.name not in _IGNORED and not entry.name.startswith(".")
    )


def _is_model(folder: Path) -> bool:
    return (folder / CONFIG).is_file() or any(_versions(folder))


def _versions(folder: Path) -> Iterator[Path]:
    return (entry for entry in _folders(folder) if _NUMBER.fullmatch(entry.name))


def _model(folder: Path, root: Path) -> LocalModel:
    left_out: list[str] = []
    numbered = {entry.name: entry for entry in _versions(folder)}
    walk = _Walk(root)
    versions = {}
    for name, entry in numbered.items():
        if int(name) > HIGHEST_VERSION:
            left_out.append(f"version {name}: numbers go to {HIGHEST_VERSION}")
        else:
            versions[int(name)] = walk.files(entry)
    beside = walk.files(folder, skip=set(numbered))
    config = beside.pop(CONFIG, None)
    return LocalModel(
        folder.absolute().name,
        read_text(config) if config else None,
        dict(sorted(versions.items())),
        beside,
        tuple(walk.strays),
        tuple(left_out),
    )


class _Walk:
    """Through one model's folders, which somebody else made: it comes to an end whatever they are.

    `strays` is told what is not read: what leads out of the repository or in circles, what has no
    name that can be written, and what is behind the last entry that is looked at.
    """

    def __init__(self, root: Path) -> None:
        self.strays: list[str] = []
        self._root = root
        self._entries = 0

    def files(self, folder: Path, skip: Collection[str] = ()) -> dict[str, Path]:
        """The files below a folder by their path in it."""
        found: dict[str, Path] = {}
        if place := self._inside(folder):
            self._enter(folder, "", skip, (place,), found)
        else:
            self.strays.append(f"{folder}: a link that leads out of the repository")
        return found

    def _enter(
        self,
        folder: Path,
        prefix: str,
        skip: Collection[str],
        places: tuple[Path, ...],
        found: dict[str, Path],
    ) -> None:
        """Into a folder; `places` are those of it and the ones above it, links followed."""
        for name in self._listed(places[-1]):
            entry, place = folder / name, self._inside(places[-1] / name)
            if name.startswith(".") or name in _IGNORED or prefix + name in skip:
                continue
            self._entries += 1
            if self._entries > MAX_ENTRIES:
                if self._entries == MAX_ENTRIES + 1:
                    self.strays.append(f"{entry}: more than {MAX_ENTRIES} files and folders")
                return
            if not is_text(name):
                self.strays.append(f"{str(entry)!a}: a name that is no UTF-8")
            elif place is None:
                self.strays.append(f"{entry}: a link that leads out of the repository, or nowhere")
            elif place.is_dir():
                if any(one.is_relative_to(place) for one in places):
                    self.strays.append(f"{entry}: a link to a folder that it lies in")
                elif len(places) == MAX_LEVELS:
                    self.strays.append(f"{entry}: folders more than {MAX_LEVELS} levels deep")
                else:
                    self._enter(entry, f"{prefix}{name}/", skip, (*places, place), found)
            elif place.is_file():
                found[prefix + name] = entry
            else:
                self.strays.append(f"{entry}: no plain file")

    def _listed(self, folder: Path) -> list[str]:
        try:
            return sorted(entry.name for entry in folder.iterdir())
        except OSError as error:
            self.strays.append(f"{folder}: it cannot be read: {error}")
            return []

    def _inside(self, path: Path) -> Path | None:
        """Where it lies, links followed; None where that is outside of the repository."""
        try:
            place = path.resolve(strict=True)
        except (OSError, RuntimeError):  # broken, or a circle
            return None
        return place if place.is_relative_to(self._root) else None


def read_text(path: Path) -> str:
    """A configuration's text.

    Raises:
        RepositoryError: it is none, or too long for one.
    """
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise RepositoryError(
                f"{path} has more than {MAX_CONFIG_BYTES} bytes: it is no configuration"
            )
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RepositoryError(f"{path} cannot be read: {error}") from error


def is_text(name: str) -> bool:
    """False of a name whose bytes on the disk are no UTF-8: it could not be sent."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True

"""A Triton model repository on this machine: what lies where, and nothing from outside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nereid.errors import NereidError

CONFIG = "config.pbtxt"
HIGHEST_VERSION = 999_999_999
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
    return LocalModel(path.stem, _text(path), alone=True)


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
    strays: list[str] = []
    left_out: list[str] = []
    numbered = {entry.name: entry for entry in _versions(folder)}
    versions = {}
    for name, entry in numbered.items():
        if int(name) > HIGHEST_VERSION:
            left_out.append(f"version {name}: numbers go to {HIGHEST_VERSION}")
        else:
            versions[int(name)] = dict(_files(entry, root, strays, skip=set()))
    beside = dict(_files(folder, root, strays, skip=set(numbered)))
    config = beside.pop(CONFIG, None)
    return LocalModel(
        folder.absolute().name,
        _text(config) if config else None,
        dict(sorted(versions.items())),
        beside,
        tuple(strays),
        tuple(left_out),
    )


def _files(
    folder: Path, root: Path, strays: list[str], skip: set[str], prefix: str = ""
) -> Iterator[tuple[str, Path]]:
    """The files below a folder by their path in it; what leads out of the repository is told."""
    if not _inside(folder, root):
        strays.append(f"{folder}: a link that leads out of the repository")
        return
    for entry in sorted(folder.iterdir()):
        name = prefix + entry.name
        if entry.name.startswith(".") or entry.name in _IGNORED or name in skip:
            continue
        if not _inside(entry, root):
            strays.append(f"{entry}: a link that leads out of the repository, or nowhere")
        elif entry.is_dir():
            # A link to a folder above it would never end.
            if entry.is_symlink() and folder.resolve().is_relative_to(entry.resolve()):
                strays.append(f"{entry}: a link to a folder that it lies in")
                continue
            yield from _files(entry, root, strays, skip, f"{name}/")
        elif entry.is_file():
            yield name, entry
        else:
            strays.append(f"{entry}: no plain file")


def _inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):  # broken, or a circle
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RepositoryError(f"{path} cannot be read: {error}") from error

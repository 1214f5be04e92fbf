"""The backends of the Triton beside a node: its backend directory, or a listing of one.

Triton's API says which backend a loaded model has, and nothing of those that it could load.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from control_plane.domain.planning.backends import Backend, BackendKind

logger = logging.getLogger(__name__)

VERSION_FILE = "VERSION"
"""In a Python-based backend's folder: the version of what it runs models with."""

MAX_BACKENDS = 100

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+_-]{0,31}")


def observed_backends(place: Path | None) -> tuple[Backend, ...] | None:
    """Every backend by name, sorted; None where they are not known.

    Args:
        place: the backend directory, or a file with a line `name kind [version]` for each, as
            `deploy/list_backends.sh` writes it where the node does not see the directory.
    """
    if place is None:
        return None
    try:
        found = list(_from_folder(place) if place.is_dir() else _from_listing(place))
    except OSError as error:
        logger.warning("the backends of this server are not known: %s", error)
        return None
    return tuple(sorted(found, key=lambda one: one.name)[:MAX_BACKENDS])


def _from_folder(place: Path) -> Iterator[Backend]:
    for folder in place.iterdir():
        name = folder.name
        if not folder.is_dir() or not _NAME.fullmatch(name):
            continue
        # Triton looks for the library first: a model.py beside it is not asked.
        if (folder / f"libtriton_{name}.so").exists():
            yield Backend(name, BackendKind.NATIVE, _runtime_version(folder))
        elif (folder / "model.py").exists():
            yield Backend(name, BackendKind.PYTHON, _said_version(folder))


def _from_listing(place: Path) -> Iterator[Backend]:
    for line in place.read_text().splitlines():
        name, _, rest = line.strip().partition(" ")
        kind, _, version = rest.partition(" ")
        known = kind in (BackendKind.NATIVE, BackendKind.PYTHON)
        if known and _NAME.fullmatch(name) and (not version or _VERSION.fullmatch(version)):
            yield Backend(name, BackendKind(kind), version)
        elif line.strip():
            logger.warning("%s: %r is no line `name kind [version]`", place, line[:80])


def _runtime_version(folder: Path) -> str:
    """NVIDIA's folders have the runtime beside the backend: `libonnxruntime.so.1.19.2`."""
    pattern = re.compile(rf"lib{re.escape(folder.name)}\.so\.([0-9]+(?:\.[0-9]+)+)")
    versions = [m[1] for one in folder.iterdir() if (m := pattern.fullmatch(one.name))]
    return max(versions, key=len, default="")


def _said_version(folder: Path) -> str:
    try:
        said = (folder / VERSION_FILE).read_text().strip()
    except FileNotFoundError:
        return ""
    return said if _VERSION.fullmatch(said) else ""

"""Nereid's Python-based backends, for a Triton that has none of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from nereid.errors import NereidError

SHARED = "python_based"
"""What they share; each folder has a copy of it."""

CHECKOUT = Path(__file__).resolve().parents[1] / "backends"


def sources(names: Iterable[str], root: Path = CHECKOUT) -> dict[str, dict[str, Path]]:
    """The files of each backend by their path in its folder.

    Raises:
        NereidError: they are not here: the client was installed without the rest of Nereid.
    """
    found = {}
    for name in names:
        if not (root / name / "model.py").is_file():
            raise NereidError(
                f"the backend {name} is not in {root}\n--with-backends works in a checkout of "
                "Nereid: there the folders are."
            )
        found[name] = {
            str(path.relative_to(folder)): path
            for folder in (root / SHARED, root / name)
            for path in sorted(folder.rglob("*.py"))
        }
    return found


def copy(found: Mapping[str, Mapping[str, Path]], target: Path) -> None:
    """Writes the folders; what lies there of the same name is replaced."""
    for name, files in found.items():
        shutil.rmtree(target / name, ignore_errors=True)
        for path, source in files.items():
            (target / name / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / name / path)

"""A checkout of its own, that a test can lead to another version."""

from __future__ import annotations

import shutil
from pathlib import Path

from stack.settings import CHECKOUT

ROOMS = (
    *("control_plane", "stack", "workers", "nereid", "backends", "triton_configs"),
    *("model_repository", "manage.py", "pyproject.toml"),
)


def copied_checkout(folder: Path) -> Path:
    """This checkout once more, in that folder: what a stack needs of it."""
    skipped = shutil.ignore_patterns("__pycache__", "live")
    for room in ROOMS:
        source = CHECKOUT / room
        if source.is_dir():
            shutil.copytree(source, folder / room, ignore=skipped)
        else:
            shutil.copy2(source, folder / room)
    return folder

"""The modules of the Python-based backends, which lie flat beside each other in Triton's folder."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

BACKENDS = Path(__file__).resolve().parents[2] / "backends"


def imported(name: str, *folders: str) -> ModuleType:
    """A module of `python_based` or of the named backends' folders, as Triton's stub imports it."""
    paths = [str(BACKENDS / folder) for folder in ("python_based", *folders)]
    sys.path[:0] = paths
    try:
        return importlib.import_module(name)
    finally:
        del sys.path[: len(paths)]

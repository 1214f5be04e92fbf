"""Looking into a model file without trusting it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from control_plane.domain.signature import Signature


class InvalidModelError(ValueError):
    """The file is not a model that can be served; the message says why."""


class InspectionFailedError(RuntimeError):
    """The inspection itself came to no end; it says nothing about the model."""


class ModelInspector(Protocol):
    """Reads model files in a process of their own, with limits."""

    def signature(self, path: Path, framework: str) -> Signature:
        """What the model takes and gives.

        Raises:
            InvalidModelError: the file is corrupt, or needs what cannot be served.
            InspectionFailedError: reading it took too long, or broke the reader.
        """
        ...

    def check_loads(self, path: Path, framework: str) -> None:
        """Loads the model in its runtime.

        Raises:
            InvalidModelError: with the runtime's own reason.
            InspectionFailedError: loading it took too long, or broke the runtime.
        """
        ...

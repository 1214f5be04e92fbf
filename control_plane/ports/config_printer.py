"""How configuration values become the text that people and Triton read."""

from __future__ import annotations

from typing import Protocol

from control_plane.domain.planning.plan import ModelDirectory


class ConfigPrinter(Protocol):
    """Prints the configuration of a directory, in its first variant."""

    def __call__(self, directory: ModelDirectory) -> str:
        """The text of `config.pbtxt`."""
        ...

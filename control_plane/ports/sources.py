"""Files that lie elsewhere and are fetched from there."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol


class SourceRefusedError(ValueError):
    """Nothing is fetched from there; the message says why, and what may be named."""


class SourceFailedError(RuntimeError):
    """It could not be fetched this time."""


@dataclass(frozen=True)
class Found:
    """An open source: its content, its size in bytes, and the name that it has there."""

    stream: BinaryIO
    size: int
    filename: str


class Sources(Protocol):
    """Where artifacts may be fetched from: places below allow-listed roots."""

    def check(self, source: str) -> None:
        """Says whether the source may be named at all; it is not looked at.

        Raises:
            SourceRefusedError: it is no address, or lies below no root.
        """
        ...

    def open(self, source: str) -> AbstractContextManager[Found]:
        """Opens it.

        Raises:
            SourceRefusedError: see `check`; it is not there, or leads out of its root.
            SourceFailedError: it cannot be read now.
        """
        ...

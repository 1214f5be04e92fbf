"""Files that lie elsewhere and are fetched from there."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from control_plane.domain.signature import Signature


class SourceRefusedError(ValueError):
    """Nothing is fetched from there; the message says why, and what may be named."""


class SourceFailedError(RuntimeError):
    """It could not be fetched this time."""


@dataclass(frozen=True)
class Told:
    """What a source says of a model beside its file; what the uploader said goes first."""

    framework: str = ""
    signature: Signature | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """An open source: its content, its size in bytes, and the name that it has there."""

    stream: BinaryIO
    size: int
    filename: str
    told: Told = Told()


@dataclass(frozen=True)
class Settled:
    """An address that means the same from now on, and what is known of it already."""

    source: str
    tells_framework: bool = False
    """Whether the source will say which framework it is of."""

    provenance: Mapping[str, Any] = field(default_factory=dict)


class Sources(Protocol):
    """Where artifacts may be fetched from: places that the operator allows."""

    def settle(self, source: str) -> Settled:
        """Says whether the source may be named, and puts what an alias means in its place.

        Raises:
            SourceRefusedError: it is no address, lies below no root, or names what is not there.
            SourceFailedError: what the alias means cannot be found out now.
        """
        ...

    def open(self, source: str, *, framework: str = "") -> AbstractContextManager[Found]:
        """Opens it; where it holds several kinds of models, the one of the framework.

        Raises:
            SourceRefusedError: see `settle`; it is not there, holds no model that is taken, or
                leads out of its root.
            SourceFailedError: it cannot be read now.
        """
        ...

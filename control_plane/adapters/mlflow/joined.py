"""Several files as one tar, made while it is read: a model with its external data."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO

from control_plane.ports.sources import SourceFailedError

_BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True)
class Member:
    """A file of the tar: its name, its size as announced, and how it is opened."""

    name: str
    size: int
    open: Callable[[], AbstractContextManager[BinaryIO]]


def size_of(members: Sequence[Member]) -> int:
    """The tar's size in bytes."""
    return sum(_BLOCK + member.size + -member.size % _BLOCK for member in members) + 2 * _BLOCK


class Joined(io.RawIOBase):
    """The tar of these files; the same files make the same bytes."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._waiting = list(members)
        self._stack = ExitStack()
        self._current: BinaryIO | None = None
        self._left = 0
        self._pending = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._stack.close()
        super().close()

    def readinto(self, buffer: Any, /) -> int:
        while not self._pending:
            if self._current is not None:
                self._pending = self._content(len(buffer))
            elif self._waiting:
                self._pending = self._next()
            elif self._ended:
                return 0
            else:
                self._ended = True
                self._pending = b"\0" * (2 * _BLOCK)
        count = min(len(buffer), len(self._pending))
        buffer[:count] = self._pending[:count]
        self._pending = self._pending[count:]
        return count

    def _next(self) -> bytes:
        member = self._waiting.pop(0)
        self._name, self._left, self._padding = member.name, member.size, -member.size % _BLOCK
        self._current = self._stack.enter_context(member.open())
        info = tarfile.TarInfo(member.name)
        info.size = member.size
        return info.tobuf(tarfile.GNU_FORMAT)

    def _content(self, size: int) -> bytes:
        assert self._current is not None  # noqa: S101 - asked for while a member is open
        chunk = self._current.read(min(size, self._left)) if self._left else b""
        self._left -= len(chunk)
        if chunk:
            return chunk
        if self._left or self._current.read(1):
            raise SourceFailedError(f"{self._name} is not as long as its server says")
        self._current = None
        self._stack.close()
        return b"\0" * self._padding

"""What a call consists of, without doing any of it.

A call is a generator of steps that ends with its result. It is written once, in `nereid.calls`;
`Client` and `AsyncClient` carry the steps out, each in its own way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

BytesMoved = Callable[[int, int], None]  # (bytes so far, bytes in all)


@dataclass(frozen=True)
class Upload:
    """A multipart form: its fields, and a file that goes as the part `artifact`."""

    path: Path
    fields: Mapping[str, str]
    on_bytes: BytesMoved | None = None


@dataclass(frozen=True)
class Send:
    """One request; its result is the response, whatever its status."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    upload: Upload | None = None
    content: bytes | None = None
    timeout_s: float | None = None
    save_to: Path | None = None
    """Where a successful answer's body goes, in place of memory."""

    @property
    def repeatable(self) -> bool:
        """Whether sending it again does no harm when nobody knows if it was carried out.

        A POST has its key. An edit on condition does not: the second time it would be refused
        because of the first.
        """
        return self.method in {"GET", "POST"} or self.headers.get("If-Match", "*") == "*"


@dataclass(frozen=True)
class Pause:
    """Nothing, for a while."""

    seconds: float


@dataclass(frozen=True)
class Work:
    """Something that takes its time on this machine, such as the digest of a large file."""

    do: Callable[[], Any]


Step = Send | Pause | Work
Steps = Generator[Step, Any, T]


def drive(steps: Steps[T], do: Callable[[Step], Any]) -> T:
    """Carries out the steps one after the other; what goes wrong is told to the steps."""
    try:
        step = next(steps)
        while True:
            try:
                result = do(step)
            except Exception as error:
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        steps.close()


async def drive_async(steps: Steps[T], do: Callable[[Step], Awaitable[Any]]) -> T:
    """`drive` where doing something is awaited."""
    try:
        step = next(steps)
        while True:
            try:
                result = await do(step)
            except (Exception, asyncio.CancelledError) as error:
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        steps.close()

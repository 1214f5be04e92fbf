"""The recorder of the router beside a node: it keeps callers' requests where it is asked to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class RecordingAsk:
    """What is asked of the router: `parts` of 10,000 requests, until one of the bounds is met."""

    endpoint: str
    requests: int
    bytes: int
    parts: int
    until_ms: int


@dataclass(frozen=True)
class Recorded:
    """How far a recording is.

    `begun`: the router has taken it up; `done`: nothing more comes; `failed` says why there is
    none. Without any of these the router has not looked yet, or is one that records nothing.
    """

    begun: bool = False
    done: bool = False
    failed: str = ""
    requests: int = 0
    bytes: int = 0


class RequestRecorder(Protocol):
    """Recordings by their keys (32 hexadecimal digits). All of it may be done again."""

    def ask(self, key: str, ask: RecordingAsk) -> None:
        """Asks the router to record, or to end earlier: then with an end that has passed."""
        ...

    def look(self, key: str) -> Recorded:
        """How far it is."""
        ...

    def content(self, key: str) -> bytes:
        """What was recorded, once it is done (`domain.perf.recording.read_records`).

        Raises:
            OSError: it is not there.
        """
        ...

    def asked(self) -> Sequence[str]:
        """The keys of what is asked of the router now.

        Raises:
            OSError: it cannot be told.
        """
        ...

    def forget(self, key: str) -> None:
        """Asks no more; the router deletes what it has."""
        ...

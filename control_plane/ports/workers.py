"""Who works: which queues have a worker that answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class WorkersUnknownError(RuntimeError):
    """The broker does not answer, so nobody knows who works."""


class Workers(Protocol):
    """The workers that answer when they are called."""

    def by_queue(self) -> Mapping[str, Sequence[str]]:
        """The names of the workers of each queue; one that does not answer in time is not in it.

        Raises:
            WorkersUnknownError: the broker cannot be asked.
        """
        ...

"""Asking a process of somebody's own what its model takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from control_plane.domain.registry.remote import RemoteModel
from control_plane.domain.signature import Signature


class RemoteFailedError(RuntimeError):
    """The process does not answer, has no such model, or one that cannot be an arm."""


@dataclass(frozen=True)
class DescribedRemote:
    """What it said: `max_batch_size` is in rows, 0 where it takes no batches."""

    signature: Signature
    max_batch_size: int


class RemoteModels(Protocol):
    """Processes that serve models over the v2 protocol."""

    def describe(self, remote: RemoteModel) -> DescribedRemote:
        """What the model takes and gives, as its process says.

        Raises:
            RemoteFailedError: with the reason.
        """
        ...

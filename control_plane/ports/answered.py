"""Who knows which arm answered a request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class AnsweredRequests(Protocol):
    """What a server remembers of the requests that it answered."""

    def arms_of(self, endpoint: str, request_ids: Iterable[str]) -> dict[str, str]:
        """Request id -> physical model, of those that it still knows."""
        ...

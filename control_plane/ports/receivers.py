"""What sending a webhook needs from outside: one POST to somebody else's server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class NotSentError(RuntimeError):
    """No answer came, or the address must not be connected to; the message says which and why."""


@dataclass(frozen=True)
class Reply:
    """A receiver's answer: its status, its wish when to come again, its first bytes as text."""

    status: int
    retry_after: str | None = None
    excerpt: str = ""


class Receivers(Protocol):
    """The receivers of webhooks, wherever they are."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Sends once, and waits a bounded time for a bounded answer; redirects are answers.

        Raises:
            NotSentError: no whole answer came, or the address is not allowed.
        """
        ...

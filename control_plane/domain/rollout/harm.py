"""The harm budget: how it is shared out among the servers, and what is left of it."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.domain.violations import InvalidInputError, Violation

DEFAULT_FAILURES = 20


@dataclass(frozen=True)
class Grant:
    """What the routers are allowed: so many failed attempts on each of so many servers.

    Each server counts for itself, so that the sum holds with nobody there to add it up.
    """

    word: str
    each: int
    servers: int

    @property
    def total(self) -> int:
        return self.each * self.servers


def share_out(word: str, budget: int | None, servers: int) -> Grant:
    """The budget, in equal whole parts; what does not divide is not granted.

    Example: 20 among 3 servers is 6 each, so 18 in all and never 21.

    Args:
        budget: None: the default, or one each where there are more servers than that.

    Raises:
        InvalidInputError: there is not one for each server.
    """
    count = max(1, servers)
    asked = max(DEFAULT_FAILURES, count) if budget is None else budget
    if asked < count:
        detail = (
            f"{asked} failed requests cannot be shared out among {count} servers, each of which "
            f"counts for itself: allow at least {count}"
        )
        raise InvalidInputError([Violation("/harmBudget/failedRequests", "too_few", detail)])
    return Grant(word, asked // count, count)

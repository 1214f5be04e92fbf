"""The wall clock."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """`ports.clock.Clock` over the machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

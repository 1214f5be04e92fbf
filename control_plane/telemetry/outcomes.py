"""What the router's outcomes mean for whoever counts requests."""

from __future__ import annotations

HANDED_ON = frozenset({"rescued", "both_failed"})
"""The arm failed, and the primary was asked in its stead: that attempt counts there."""

FAILED = frozenset({"error", "timeout"}) | HANDED_ON
"""The arm's own failures; what it refused or the caller gave up is none."""

SEEN = frozenset({"error", "timeout", "rejected"})
"""What the caller got as an error."""

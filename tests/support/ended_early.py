"""Whoever ends a long run early, by Ctrl-C or by `kill`, finds nothing of it left behind."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def ended_by_a_signal() -> Iterator[None]:
    """Within it SIGTERM is what Ctrl-C is, and Ctrl-C works where a shell left it ignored."""
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    for one in before:
        signal.signal(one, signal.default_int_handler)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)

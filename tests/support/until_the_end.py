"""Threads that go on beside a test until its block ends."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence


@contextlib.contextmanager
def until_the_end(
    threads: Sequence[threading.Thread], end: threading.Event, *, join_s: float | None = None
) -> Iterator[None]:
    """Starts them; at the end of the block tells them by the event, and waits for each."""
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join(join_s)

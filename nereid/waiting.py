"""Looking again and again, less and less often, until a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from nereid.errors import UnreachableError

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
GROWTH = 1.5

T = TypeVar("T")


def wait_for(
    look: Callable[[], T],
    done: Callable[[T], bool],
    timeout: float,
    on_progress: Callable[[T], None] | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> T:
    """The first look that is done, or the last one before the deadline: the caller tells which.

    A control plane that restarts meanwhile is waited for, unless the deadline passes first.
    """
    deadline = clock() + timeout
    wait = FIRST_PAUSE_S
    while True:
        try:
            seen = look()
        except UnreachableError:
            if clock() + wait > deadline:
                raise
        else:
            if on_progress is not None:
                on_progress(seen)
            if done(seen) or clock() >= deadline:
                return seen
        pause(max(0.0, min(wait, deadline - clock())))
        wait = min(wait * GROWTH, LONGEST_PAUSE_S)

"""What tests ask about processes that are not their children."""

import time
from collections.abc import Callable

import psutil


def is_gone(pid: int) -> bool:
    """Ended; one that only waits to be reaped (by an init that does not) counts as ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def eventually(condition: Callable[[], bool], patience_s: float = 15.0) -> bool:
    """Whether the condition comes true in time."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True

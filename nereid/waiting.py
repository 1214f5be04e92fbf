"""Looking again and again, less and less often, until a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from nereid.calls.asking import looking
from nereid.steps import Pause, Step, Steps, drive

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
    """`nereid.calls.asking.looking` with looks of one's own."""

    def once() -> Steps[T]:
        return look()
        yield  # a generator without steps

    def do(step: Step) -> None:
        assert isinstance(step, Pause)  # noqa: S101 - `once` has no steps
        pause(step.seconds)

    return drive(looking(once, done, timeout, on_progress, clock=clock), do)

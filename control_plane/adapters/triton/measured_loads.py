"""Triton's model control, with what each load took of the memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from control_plane.domain.names import is_public_name
from control_plane.domain.placement.memory import Footprint
from control_plane.ports.memory import MemoryMeter, ServerMemory
from control_plane.ports.triton import HeldModel, TritonControl

KEPT = 1_000
"""Measurements that wait to be fetched; the oldest of more are given up."""


class MeasuredLoads:
    """`ports.triton.TritonControl` that measures around a load, and `ports.memory.LoadsMeasured`.

    A load that another one overlapped in this process says nothing, and is not noted. Routers are
    not: they take next to nothing.
    """

    def __init__(self, triton: TritonControl, meter: MemoryMeter) -> None:
        self._triton = triton
        self._meter = meter
        self._lock = threading.Lock()
        self._running = 0
        self._begun = 0
        self._taken: dict[str, Footprint] = {}

    def drain(self) -> Mapping[str, Footprint]:
        with self._lock:
            taken, self._taken = self._taken, {}
        return taken

    def load(self, name: str) -> None:
        if is_public_name(name):
            self._triton.load(name)
            return
        with self._lock:
            self._running += 1
            self._begun += 1
            alone, number = self._running == 1, self._begun
        before = self._meter.read() if alone else None
        try:
            self._triton.load(name)
            after = self._meter.read() if before else None
        finally:
            with self._lock:
                self._running -= 1
                alone = alone and self._begun == number
        if alone and before and after and (taken := _between(before, after)):
            self._note(name, taken)

    def _note(self, name: str, taken: Footprint) -> None:
        with self._lock:
            self._taken[name] = taken
            while len(self._taken) > KEPT:
                del self._taken[next(iter(self._taken))]

    def is_live(self) -> bool:
        return self._triton.is_live()

    def unload(self, name: str) -> None:
        self._triton.unload(name)

    def index(self) -> Sequence[HeldModel]:
        return self._triton.index()

    def let_go(self) -> frozenset[str]:
        return self._triton.let_go()

    def is_ready(self, name: str) -> bool:
        return self._triton.is_ready(name)

    def config(self, name: str) -> Mapping[str, Any]:
        return self._triton.config(name)

    def server_version(self) -> str:
        return self._triton.server_version()


def _between(before: ServerMemory, after: ServerMemory) -> Footprint | None:
    """What was taken in between; None where nothing is known of the machine's memory."""
    if before.used is None or after.used is None:
        return None
    gpu = (after.gpu_used or 0) - (before.gpu_used or 0)
    return Footprint(max(0, after.used - before.used), max(0, gpu))

"""`ports.memory` over the process on Triton's port, and NVIDIA's management library."""

from __future__ import annotations

import contextlib
import logging
import time
from functools import cache
from pathlib import Path

import psutil
import pynvml

from control_plane.ports.memory import Device, ServerMemory

logger = logging.getLogger(__name__)

LOOK_AGAIN_S = 30.0
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


class ProcessMemoryMeter:
    """Triton as the process that listens on the port of `address`, with all of its children.

    Its use is not known where that process is not seen, as from another container; then
    `limit` (NEREID_SERVER_MEMORY) and what was placed there are all that counts.
    """

    def __init__(self, address: str, limit: int | None, *, gpus: bool) -> None:
        self._port = int(address.rpartition(":")[2])
        self._limit = limit
        self._gpus = gpus
        self._process: psutil.Process | None = None
        self._look_after = 0.0

    def read(self) -> ServerMemory:
        used = self._used()
        limit = self._limit or (_machine_limit() if used is not None else None)
        gpus = _gpu_memory() if self._gpus else None
        if gpus is None:
            return ServerMemory(limit, used, devices=None if self._gpus else ())
        devices, gpu_used = gpus
        return ServerMemory(limit, used, sum(d.memory for d in devices), gpu_used, devices)

    def _used(self) -> int | None:
        """Bytes of Triton and of what its stubs have for themselves.

        What is shared counts with Triton alone. (Pages counted exactly, as the kernel can, would
        hold up a large process each time.)
        """
        try:
            triton = self._triton()
            if triton is None:
                return None
            used = int(triton.memory_info().rss)
            return used + sum(_own(process) for process in triton.children(recursive=True))
        except psutil.Error:
            self._process = None
            return None

    def _triton(self) -> psutil.Process | None:
        known = self._process
        if known is not None and known.is_running():
            return known
        # Where it is out of sight, looking through all processes at each beat would find nothing.
        if time.monotonic() < self._look_after:
            return None
        self._process = _listener(self._port)
        self._look_after = 0.0 if self._process else time.monotonic() + LOOK_AGAIN_S
        return self._process


def _own(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):  # gone meanwhile
        found = process.memory_info()
        return max(0, int(found.rss) - int(found.shared))
    return 0


def _listener(port: int) -> psutil.Process | None:
    for one in psutil.net_connections(kind="tcp"):
        if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid:
            return psutil.Process(one.pid)
    return None


def _machine_limit() -> int:
    """The machine's memory, or what this container may have of it."""
    total = int(psutil.virtual_memory().total)
    with contextlib.suppress(OSError, ValueError):  # no cgroup, or one without a limit: "max"
        return min(total, int(CGROUP_LIMIT.read_text()))
    return total


@cache
def _nvml() -> bool:
    """True when the driver's library answers; asked once."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        logger.info("no GPU memory is measured: %s", error)
        return False
    return True


def _gpu_memory() -> tuple[tuple[Device, ...], int] | None:
    """The GPUs, and the bytes in use on all of them; None where nobody says."""
    if not _nvml():
        return None
    devices, used = [], 0
    try:
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            name, uuid = pynvml.nvmlDeviceGetName(handle), pynvml.nvmlDeviceGetUUID(handle)
            devices.append(Device(str(name), str(uuid), int(memory.total)))
            used += int(memory.used)
    except pynvml.NVMLError as error:
        logger.info("no GPU memory is measured: %s", error)
        return None
    return tuple(devices), used

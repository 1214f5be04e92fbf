"""What a killed Triton leaves behind: orphaned Python stubs, and their shared memory."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

STUB = "triton_python_backend_stub"
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the fixed place of POSIX shared memory
_PROC = Path("/proc")


def clean_leftovers(name: str) -> list[str]:
    """End the orphaned Python stubs of this server and remove its shared memory; say what went.

    A server that was killed cannot do this itself. A stub whose server lives is left alone, and so
    is memory that any living process still maps: a second stack may use the same name.
    """
    prefix = f"nereid_{name}_"
    removed = [f"stub {pid}" for pid in _orphaned_stubs(prefix) if _end(pid)]
    regions = [entry for entry in _SHARED_MEMORY.glob(f"{prefix}*") if entry.is_file()]
    if not regions:
        return removed
    in_use = _mapped_regions(prefix)
    for region in regions:
        if region.name not in in_use:
            # Another user's server of this name: its memory is not ours to remove.
            with contextlib.suppress(PermissionError):
                region.unlink(missing_ok=True)
                removed.append(f"shared memory {region.name}")
    return removed


def _processes() -> Iterable[int]:
    return (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def _arguments(pid: int) -> list[str]:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _parent(pid: int) -> int:
    try:
        # The command name may hold spaces and brackets: the fields after its last ")" are safe.
        stat = (_PROC / str(pid) / "stat").read_text()
        return int(stat.rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def _orphaned_stubs(prefix: str) -> list[int]:
    orphans = []
    for pid in _processes():
        arguments = _arguments(pid)
        if not arguments or Path(arguments[0]).name != STUB:
            continue
        if not any(argument.startswith(prefix) for argument in arguments):
            continue
        parent = _arguments(_parent(pid))
        if not parent or Path(parent[0]).name != "tritonserver":
            orphans.append(pid)
    return orphans


def _end(pid: int, patience_s: float = 5.0) -> bool:
    """Kill an orphan and wait until it is gone: until then its memory counts as in use."""
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    deadline = time.monotonic() + patience_s
    while _arguments(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return True


def _mapped_regions(prefix: str) -> set[str]:
    start = f"{_SHARED_MEMORY}/{prefix}"
    mapped = set()
    for pid in _processes():
        try:
            maps = (_PROC / str(pid) / "maps").read_text(errors="replace")
        except OSError:
            continue
        for line in maps.splitlines():
            at = line.find(start)
            if at >= 0 and not line.endswith("(deleted)"):
                mapped.add(Path(line[at:]).name)
    return mapped

"""What the processes of a stack hold while it works: memory, open files, threads."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.serving import ServingStack
from tests.support.until_the_end import until_the_end

EVERY_S = 10.0
FLAT_SHARE, FLAT_MIB = 0.03, 3.0
"""What a process may hold more in the last third than in the middle one, and count as flat."""

KEPT_MIB_A_NAME = 10 / 1024
"""What Triton 2.51 keeps of a model that came and went: loaded 300 names, one after the other."""


@dataclass(frozen=True)
class Held:
    """What one process of the stack and its children hold at one moment.

    `mib`: what of their memory lies in no file, MiB. A page that several of them share is counted
    once in all of them (proportional set size). Libraries are left out: their share falls and rises
    with whoever else on the machine has them loaded, another stack's Triton for one. So are
    PostgreSQL's shared buffers: they are of one size, and count when they are first used.
    """

    at: float
    mib: float
    files: int
    threads: int


@dataclass(frozen=True)
class Growth:
    """A process over the whole time: its first, middle and last third, in MiB.

    Of each third the lower quartile, so that all are seen at rest: while one model replaces another
    a Triton has both. `names`: models that came and went in a third, of which it keeps a little.
    """

    name: str
    first: float
    middle: float
    last: float
    files: tuple[int, int]
    threads: tuple[int, int]
    restarted: bool = False
    names: float = 0

    @property
    def flat(self) -> bool:
        """Whether the last third holds what the middle third did: by then it is warm."""
        grown = self.last - self.middle - KEPT_MIB_A_NAME * self.names
        return grown <= max(FLAT_MIB, FLAT_SHARE * self.middle)


class Memory:
    """Looks at every process that `stack.json` names each `every_s` seconds."""

    def __init__(self, stack: ServingStack, every_s: float = EVERY_S) -> None:
        self._stack, self._every_s = stack, every_s
        self._stopping = threading.Event()
        self._seen: dict[str, list[Held]] = {}
        self._pids: dict[str, set[int]] = {}

    @contextlib.contextmanager
    def watching(self) -> Iterator[Memory]:
        """Looks until the end of the block."""
        thread = threading.Thread(target=self._watch, daemon=True)
        with until_the_end([thread], self._stopping, join_s=30):
            yield self

    def growth(self, published: float = 0) -> list[Growth]:
        """Of each process seen three times at least, while so many models came and went."""
        return [
            growth_of(
                name,
                seen,
                restarted=len(self._pids[name]) > 1,
                names=published / 3 if name.startswith("triton") else 0,
            )
            for name, seen in sorted(self._seen.items())
            if len(seen) >= 3
        ]

    def series(self) -> dict[str, list[Held]]:
        """All that was seen, by process."""
        return dict(self._seen)

    def _watch(self) -> None:
        began = time.monotonic()
        while True:
            for name, pid in self._stack.pids.items():
                with contextlib.suppress(psutil.Error):
                    held = _held(psutil.Process(pid), time.monotonic() - began, name)
                    self._seen.setdefault(name, []).append(held)
                    self._pids.setdefault(name, set()).add(pid)
            if self._stopping.wait(self._every_s):
                return


def _held(process: psutil.Process, at: float, name: str) -> Held:
    # Everything is the supervisor's child, and has a line of its own.
    family = [process, *([] if name == "supervisor" else process.children(recursive=True))]
    mib, files, threads = 0.0, 0, 0
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            mib += own_kib(one.pid, shared=name != "postgres") / 1024
            files += one.num_fds()
            threads += one.num_threads()
    return Held(at, mib, files, threads)


def own_kib(pid: int, *, shared: bool) -> int:
    """What of a process's memory lies in no file, KiB; 0 of one that is gone."""
    rollup = Path(f"/proc/{pid}/smaps_rollup")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        sizes = dict(line.split()[:2] for line in rollup.read_text().splitlines()[1:])
        return int(sizes["Pss_Anon:"]) + (int(sizes["Pss_Shmem:"]) if shared else 0)
    return 0


def growth_of(name: str, seen: Sequence[Held], *, restarted: bool, names: float = 0) -> Growth:
    """Of what was seen of one process, three times at least."""
    third = len(seen) // 3
    parts = seen[:third], seen[third : 2 * third], seen[2 * third :]
    first, middle, last = (sorted(held.mib for held in part)[len(part) // 4] for part in parts)
    ends = parts[0], parts[2]
    files = [round(statistics.median(held.files for held in part)) for part in ends]
    threads = [round(statistics.median(held.threads for held in part)) for part in ends]
    own = (files[0], files[1]), (threads[0], threads[1])
    return Growth(name, first, middle, last, *own, restarted, names)

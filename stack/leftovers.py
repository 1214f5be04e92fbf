"""What a killed supervisor left behind, and its removal at the next start.

The children are recorded with their creation times, so that a pid which the system has given to
somebody else since is never touched. What they started in turn is found by a variable that all
of them inherit and that names this home.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from control_plane.adapters.private_files import write_private

MARKER = "_NEREID_SUPERVISED"
# psutil derives creation times from the boot time and clock ticks: the same process may differ
# by a rounding between two readings.
TOLERANCE_S = 0.05


@dataclass(frozen=True)
class Record:
    name: str
    pid: int
    created: float


def marker(home: Path) -> dict[str, str]:
    """The variable that every child of the stack on `home` is started with."""
    return {MARKER: str(home)}


def records_file(home: Path) -> Path:
    return home / "run" / "processes.json"


def remember(home: Path, records: Iterable[Record]) -> None:
    body = [vars(record) for record in records]
    write_private(records_file(home), json.dumps(body, indent=2) + "\n")


def recall(home: Path) -> list[Record]:
    try:
        entries = json.loads(records_file(home).read_text())
        return [Record(str(e["name"]), int(e["pid"]), float(e["created"])) for e in entries]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # none, or spoilt: the marker remains


def recorded(record: Record) -> psutil.Process | None:
    """The process that was recorded, or None when it ended (whoever has its pid by now)."""
    try:
        process = psutil.Process(record.pid)
        if abs(process.create_time() - record.created) > TOLERANCE_S:
            return None
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.Error:
        return None


def marked(home: Path, session: int | None = None) -> list[psutil.Process]:
    """Living processes that the stack on `home` started, directly or not; of one session if given.

    Each direct child leads a session of its own.
    """
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if session is not None and os.getsid(process.pid) != session:
                continue
            ours = process.environ().get(MARKER) == str(home)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue  # ended meanwhile, or another user's: then it is not ours
    return found


def end(processes: Iterable[psutil.Process], patience: float = 5.0) -> None:
    """Ask these processes to end; kill those that stay."""
    remaining = list(processes)
    for stop in (psutil.Process.terminate, psutil.Process.kill):
        for process in remaining:
            try:
                stop(process)
            except psutil.NoSuchProcess:
                continue
        _, remaining = psutil.wait_procs(remaining, timeout=patience)


def clean(home: Path, stack_file: Path) -> list[str]:
    """Undo what a killed stack left and say what it was.

    The caller holds the lock of `home`, so nothing of it is in use.
    """
    known = {record.pid: record for record in recall(home) if recorded(record)}
    processes = {process.pid: process for process in marked(home)}
    for pid, record in known.items():
        process = recorded(record)
        if process:
            processes[pid] = process
    found = [f"{known[pid].name if pid in known else 'process'} {pid}" for pid in sorted(processes)]
    end(processes.values())
    records_file(home).unlink(missing_ok=True)
    if stack_file.exists():
        stack_file.unlink()
        found.append(stack_file.name)
    return found

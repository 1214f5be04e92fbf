"""One supervisor per NEREID_HOME. Run as a program it says whether one runs (exit status 1).

Only the standard library: `make clean` asks before there is an environment.
"""

import fcntl
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

FILE_NAME = "supervisor.lock"


class AlreadyRunningError(RuntimeError):
    """Another supervisor holds this home."""


class HomeLock:
    """Held while a supervisor runs. The kernel frees it when the process ends, however it ends."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._path = home / "run" / FILE_NAME
        self._descriptor: int | None = None

    def acquire(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            pid = self._path.read_text().strip() or "unknown"
            raise AlreadyRunningError(
                f"a stack already runs in {self._home} (supervisor pid {pid}). Stop it with "
                f"`kill {pid}` or Ctrl-C, or choose another NEREID_HOME and other ports."
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        # Emptied, not removed: a waiting process might hold the removed file while a third one
        # locks a new file of the same name.
        os.ftruncate(descriptor, 0)
        os.close(descriptor)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def holder(home: Path) -> int | None:
    """The pid of the supervisor that runs on `home`, or None."""
    path = home / "run" / FILE_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = path.read_text().strip()
        return int(text) if text.isdecimal() else 0
    finally:
        os.close(descriptor)
    return None


if __name__ == "__main__":
    default = Path(__file__).resolve().parent.parent / ".nereid"
    running = holder(Path(os.environ.get("NEREID_HOME") or default))
    if running is not None:
        sys.exit(f"a stack is running (supervisor pid {running}): stop it first")

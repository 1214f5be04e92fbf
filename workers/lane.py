"""A Celery worker for one queue, in a process of its own that is kept running."""

from __future__ import annotations

import ctypes
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1


class QueueWorker:
    """Consumes `queue` with so many threads, under the Celery node name `<name>@<host>`."""

    def __init__(self, queue: str, *, name: str, threads: int) -> None:
        self._name = name
        self._command = [
            *(sys.executable, "-m", "celery", "--quiet", "-A", "workers.app", "worker"),
            *("-Q", queue, "-n", f"{name}@%h", "--loglevel", "INFO"),
            *("-P", "threads", "-c", str(threads), "--without-gossip", "--without-mingle"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def keep_running(self) -> None:
        """Starts it, or starts it again when it died."""
        if self._process is not None:
            if self._process.poll() is None:
                return
            logger.warning("worker %s ended with %s", self._name, self._process.returncode)
        self._process = subprocess.Popen(self._command, preexec_fn=_die_with_parent)

    def ask_to_stop(self) -> None:
        """Tells it to finish what it does and end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def stop(self, patience_s: float) -> None:
        """Waits for its end, and ends it when that takes too long."""
        self.ask_to_stop()
        if self._process is None:
            return
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def stop_all(workers: Sequence[QueueWorker], patience_s: float) -> None:
    """Lets all of them finish at the same time, for so long together."""
    for worker in workers:
        worker.ask_to_stop()
    deadline = time.monotonic() + patience_s
    for worker in workers:
        worker.stop(max(0.0, deadline - time.monotonic()))


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

"""The control plane's worker: `python -m workers.control`.

Four Celery workers with pools of their own. One reconciles, sweeps and scrapes; the second loads
uploads, which takes minutes each and must never stand between a rollback and its servers; the
third delivers webhooks to servers that may not answer; the fourth carries out perf runs, one at a
time on each server.
"""

from __future__ import annotations

import argparse
import logging.config
import os
import signal
import sys
import threading

from control_plane.adapters.queue import (
    CONTROL_QUEUE,
    PERF_QUEUE,
    VALIDATION_QUEUE,
    WEBHOOK_QUEUE,
)
from control_plane.audit.logs import logging_config
from workers.lane import QueueWorker, stop_all

LOOK_S = 0.5

STOP_PATIENCE_S = 15.0
"""Below the time that the stack, and Compose, give this process to end."""

ORPHANED_PATIENCE_S = 5.0
"""With the supervisor the broker went too, and Celery tries long to reach it before it ends."""


def main(arguments: list[str]) -> int:
    """Runs until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m workers.control", description=__doc__)
    parser.add_argument("--threads", type=int, default=4, help="reconciles at once")
    parser.add_argument(
        "--validations", type=int, default=2, help="uploads loaded, or files fetched, at once"
    )
    parser.add_argument("--receivers", type=int, default=8, help="webhooks delivered to at once")
    parser.add_argument("--perf-runs", type=int, default=4, help="servers measured at once")
    options = parser.parse_args(arguments)
    logging.config.dictConfig(logging_config(os.environ))
    stopping, parent = threading.Event(), os.getppid()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    workers = [
        QueueWorker(VALIDATION_QUEUE, name="validation", threads=options.validations),
        QueueWorker(WEBHOOK_QUEUE, name="webhooks", threads=options.receivers),
        QueueWorker(PERF_QUEUE, name="perf", threads=options.perf_runs),
        QueueWorker(CONTROL_QUEUE, name="worker", threads=options.threads),
    ]
    try:
        while not stopping.is_set():
            for worker in workers:
                worker.keep_running()
            stopping.wait(LOOK_S)
    finally:
        orphaned = os.getppid() != parent
        stop_all(workers, ORPHANED_PATIENCE_S if orphaned else STOP_PATIENCE_S)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

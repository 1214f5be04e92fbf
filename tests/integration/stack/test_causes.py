"""What a worker does for a request belongs to it, as far as messages lead."""

from __future__ import annotations

import logging
import queue
from uuid import uuid4

from celery import Celery
from celery.contrib.testing.worker import start_worker

from control_plane.adapters.queue import CONTROL_QUEUE, CeleryQueue
from control_plane.audit.cause import cause
from control_plane.audit.logs import RequestIdFilter
from control_plane.audit.request import answering, request_id
from control_plane.audit.subject import about, subject
from workers.cause import CausedTask

PATIENCE_S = 30


def test_tasks_belong_to_the_request_and_the_rollout_that_caused_them(broker: str) -> None:
    app = Celery("test", broker=broker, task_cls=CausedTask)
    app.conf.task_default_queue = CONTROL_QUEUE
    asked = CeleryQueue(app, cause)
    seen: queue.Queue[tuple[str, str, object]] = queue.Queue()
    first, second = uuid4(), uuid4()

    @app.task(name="reconcile.endpoint")
    def reconcile(*, endpoint_id: str) -> None:
        seen.put((endpoint_id, request_id(), subject().get("rollout")))
        if endpoint_id == str(first):  # a task's own messages go back to the same request
            asked.reconcile(endpoint_id=second)

    with start_worker(app, pool="threads", perform_ping_check=False, shutdown_timeout=PATIENCE_S):
        with answering("req-1"), about(rollout="7"):
            asked.reconcile(endpoint_id=first)
        assert seen.get(timeout=PATIENCE_S) == (str(first), "req-1", "7")
        assert seen.get(timeout=PATIENCE_S) == (str(second), "req-1", "7")
        asked.reconcile(endpoint_id=second)  # by the clock: of no request
        assert seen.get(timeout=PATIENCE_S) == (str(second), "", None)
    app.close()


def test_log_lines_say_which_request() -> None:
    def line() -> str:
        record = logging.makeLogRecord({"name": "worker", "levelname": "INFO", "msg": "done"})
        RequestIdFilter().filter(record)
        return logging.Formatter("%(name)s%(request)s: %(message)s").format(record)

    assert line() == "worker: done"
    with answering("req-1"):
        assert line() == "worker [req-1]: done"

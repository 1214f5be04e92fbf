"""`ports.workers.Workers` over Celery's remote control."""

from __future__ import annotations

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from control_plane.ports.workers import WorkersUnknownError

PATIENCE_S = 1.0


class CeleryWorkers:
    """Calls all workers of the Celery application, and waits a second for their answers."""

    def __init__(self, app: Celery, patience_s: float = PATIENCE_S) -> None:
        self._app = app
        self._patience_s = patience_s

    def by_queue(self) -> dict[str, list[str]]:
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=2)
                inspect = self._app.control.inspect(timeout=self._patience_s, connection=connection)
                answers = inspect.active_queues() or {}
        # Once connected, a broker that is full, hangs or goes away is told in its client's words.
        except (OperationalError, RedisError, OSError) as error:
            raise WorkersUnknownError(f"the broker does not answer: {error}") from error
        found: dict[str, list[str]] = {}
        for worker, queues in sorted(answers.items()):
            for queue in queues:
                found.setdefault(str(queue["name"]), []).append(worker)
        return found

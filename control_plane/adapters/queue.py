"""`ports.queue.Queue` over Celery: tasks by name, so that this side imports no task."""

from __future__ import annotations

from uuid import UUID

from celery import Celery

CONTROL_QUEUE = "control"

VALIDATION_QUEUE = "validation"
"""Apart from the rest: loading an upload takes minutes, and a rollback waits for nobody."""

COMMAND_EXPIRY_S = 20.0
"""A command older than this is dropped: the reconcile that sent it has sent it again."""


def node_queue(server: str, verb: str) -> str:
    """The lane of a node that a command travels on."""
    lane = "switch" if verb == "switch" else "prepare"
    return f"node.{server}.{lane}"


class CeleryQueue:
    """Sends through the given Celery application."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def reconcile(self, *, endpoint_id: UUID) -> None:
        self._send("reconcile.endpoint", CONTROL_QUEUE, {"endpoint_id": str(endpoint_id)})

    def validate(self, *, version_id: UUID) -> None:
        self._send("registry.validate", VALIDATION_QUEUE, {"version_id": str(version_id)})

    def fetch(self, *, version_id: UUID) -> None:
        self._send("registry.fetch", VALIDATION_QUEUE, {"version_id": str(version_id)})

    def command(self, *, server: str, verb: str, endpoint_id: UUID, generation: int) -> None:
        self._send(
            f"node.{verb}",
            node_queue(server, verb),
            {"server": server, "endpoint_id": str(endpoint_id), "generation": generation},
            expires=COMMAND_EXPIRY_S,
        )

    def _send(
        self, task: str, queue: str, kwargs: dict[str, object], expires: float | None = None
    ) -> None:
        self._app.send_task(
            task, kwargs=kwargs, queue=queue, expires=expires, ignore_result=True, retry=False
        )

"""`ports.queue.Queue` over Celery: tasks by name, so that this side imports no task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import UUID

from celery import Celery

CONTROL_QUEUE = "control"

VALIDATION_QUEUE = "validation"
"""Apart from the rest: loading an upload takes minutes, and a rollback waits for nobody."""

WEBHOOK_QUEUE = "webhooks"
"""Apart too: other people's servers answer when they like."""

PERF_QUEUE = "perf"
"""Apart too: a run takes minutes to hours, one worker's thread each."""

CONTROL_PLANE_QUEUES = (CONTROL_QUEUE, VALIDATION_QUEUE, WEBHOOK_QUEUE, PERF_QUEUE)
"""Each has workers of its own in the control plane's worker."""

REQUEST_ID_HEADER = "nereid_request_id"
ROLLOUT_HEADER = "nereid_rollout"
"""The headers of a message that say which request, and which rollout, it goes back to."""

COMMAND_EXPIRY_S = 20.0
"""A command older than this is dropped: the reconcile that sent it has sent it again."""

DELIVERY_EXPIRY_S = 30.0
"""A webhook that nobody came to for so long is asked for by the sweep, again and again: what is
older only stands in the way of webhooks whose turn it is. So it is with perf runs."""


SCRAPE_EXPIRY_S = 5.0
"""The next scrape is asked for by then."""


NODE_QUEUES = "node."
"""What the names of all queues of nodes begin with."""


def node_queue(server: str, verb: str) -> str:
    """The lane of a node that a command travels on."""
    lane = "switch" if verb == "switch" else "prepare"
    return f"{NODE_QUEUES}{server}.{lane}"


VISIBILITY_TIMEOUT_S = 3600
"""Above the longest task: a broker must not hand out a message that is still worked on."""


def celery_application(broker: str) -> Celery:
    """Celery at the address of a broker, without tasks."""
    app = Celery("nereid", broker=broker)
    app.conf.update(
        task_default_queue=CONTROL_QUEUE,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        timezone="UTC",
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT_S,
            "socket_connect_timeout": 5,
            # Above the 10 s that a waiting consumer blocks: a hung broker holds nobody longer.
            "socket_timeout": 15,
            "socket_keepalive": True,
        },
    )
    return app


class CeleryQueue:
    """Sends through the given Celery application.

    A message carries what it goes back to as headers: `cause` says the request that is being
    answered and the rollout that is being looked at, or those of the sending task.
    """

    def __init__(self, app: Celery, cause: Callable[[], Mapping[str, str]] = dict) -> None:
        self._app = app
        self._cause = cause

    def reconcile(self, *, endpoint_id: UUID) -> None:
        self._send("reconcile.endpoint", CONTROL_QUEUE, {"endpoint_id": str(endpoint_id)})

    def scrape(self, *, server: str) -> None:
        kwargs: dict[str, object] = {"server": server}
        self._send("telemetry.scrape_server", CONTROL_QUEUE, kwargs, expires=SCRAPE_EXPIRY_S)

    def validate(self, *, version_id: UUID) -> None:
        self._send("registry.validate", VALIDATION_QUEUE, {"version_id": str(version_id)})

    def fetch(self, *, version_id: UUID) -> None:
        self._send("registry.fetch", VALIDATION_QUEUE, {"version_id": str(version_id)})

    def deliver(self, *, webhook_id: UUID) -> None:
        self._send(
            "webhooks.deliver",
            WEBHOOK_QUEUE,
            {"webhook_id": str(webhook_id)},
            expires=DELIVERY_EXPIRY_S,
        )

    def perf_run(self, *, run_id: int) -> None:
        self._send("perf.run", PERF_QUEUE, {"run_id": run_id}, expires=DELIVERY_EXPIRY_S)

    def tune(self, *, tune_id: int) -> None:
        self._send("perf.tune", PERF_QUEUE, {"tune_id": tune_id}, expires=DELIVERY_EXPIRY_S)

    def recording(self, *, server: str, recording_id: int, key: str) -> None:
        lane = node_queue(server, "record")
        kwargs: dict[str, object] = {"recording_id": recording_id, "key": key}
        self._send("perf.record", lane, kwargs, expires=COMMAND_EXPIRY_S)

    def perf_command(self, *, server: str, verb: str, run_id: int) -> None:
        lane = node_queue(server, verb)
        self._send(f"perf.{verb}", lane, {"run_id": run_id}, expires=COMMAND_EXPIRY_S)

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
        headers = {header: said for header, said in self._cause().items() if said}
        self._app.send_task(
            task,
            kwargs=kwargs,
            queue=queue,
            expires=expires,
            headers=headers or None,
            ignore_result=True,
            retry=False,
        )

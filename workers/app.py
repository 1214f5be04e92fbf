"""The Celery application with its tasks: `celery -A workers.app worker`."""

from __future__ import annotations

from typing import Any

from control_plane.starting import set_up

set_up()

from celery.signals import beat_init, worker_init  # noqa: E402

from control_plane import wiring  # noqa: E402 - Django has to be set up before this
from control_plane.adapters.queue import NODE_QUEUES  # noqa: E402
from control_plane.adapters.tracing import start_tracing  # noqa: E402
from workers.cause import CausedTask  # noqa: E402
from workers.schedule import SCHEDULE  # noqa: E402

app = wiring.celery_app()
app.Task = CausedTask
app.conf.beat_schedule = SCHEDULE
app.conf.imports = (
    "workers.tasks.access",
    "workers.tasks.analysis",
    "workers.tasks.endpoints",
    "workers.tasks.fleet",
    "workers.tasks.idempotency",
    "workers.tasks.node",
    "workers.tasks.perf",
    "workers.tasks.registry",
    "workers.tasks.rollouts",
    "workers.tasks.telemetry",
    "workers.tasks.webhooks",
)


@worker_init.connect
def _trace_a_worker(sender: Any, **_: object) -> None:
    start_tracing("node" if str(sender.hostname).startswith(NODE_QUEUES) else "worker")


@beat_init.connect
def _trace_the_clock(**_: object) -> None:
    start_tracing("beat")

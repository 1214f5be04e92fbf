"""What happens by the clock.

Every entry expires before the next one is due: after an hour without workers there is one
sweep to do, not a thousand.
"""

from __future__ import annotations

from typing import Any

from control_plane.adapters.queue import WEBHOOK_QUEUE

SWEEP_S = 2.0
VALIDATION_SWEEP_S = 30.0
COLLECT_S = 600.0
SCRAPE_S = 5.0
PARTITIONS_S = 3600.0
FORGET_S = 3600.0
LOST_S = 5.0
ROLLOUTS_S = 1.0
ASK_S = 5.0
BUDGETS_S = 60.0
DELIVERIES_S = 5.0
PERF_S = 5.0


def _every(seconds: float, task: str, **options: str) -> dict[str, Any]:
    return {"task": task, "schedule": seconds, "options": {"expires": seconds, **options}}


SCHEDULE = {
    "sweep endpoints": _every(SWEEP_S, "reconcile.sweep"),
    "sweep validations": _every(VALIDATION_SWEEP_S, "registry.sweep"),
    "collect artifacts": _every(COLLECT_S, "registry.collect"),
    "scrape servers": _every(SCRAPE_S, "telemetry.scrape"),
    "keep partitions": _every(PARTITIONS_S, "telemetry.partitions"),
    "advance rollouts": _every(ROLLOUTS_S, "rollouts.tick"),
    # Beside webhooks: another's server, which may not answer, stands in no rollback's way.
    "ask Prometheus": _every(ASK_S, "analysis.ask", queue=WEBHOOK_QUEUE),
    "watch error budgets": _every(BUDGETS_S, "endpoints.budgets"),
    "notice lost servers": _every(LOST_S, "fleet.lost"),
    "sweep deliveries": _every(DELIVERIES_S, "webhooks.sweep"),
    "sweep perf runs": _every(PERF_S, "perf.sweep"),
    "forget perf files": _every(FORGET_S, "perf.forget"),
    "forget deliveries": _every(FORGET_S, "webhooks.forget"),
    "forget sessions": _every(FORGET_S, "access.forget"),
    "forget kept answers": _every(FORGET_S, "idempotency.forget"),
}

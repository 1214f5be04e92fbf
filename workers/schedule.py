"""What happens by the clock.

Every entry expires before the next one is due: after an hour without workers there is one
sweep to do, not a thousand.
"""

from __future__ import annotations

SWEEP_S = 2.0
VALIDATION_SWEEP_S = 30.0
COLLECT_S = 600.0
SCRAPE_S = 5.0
PARTITIONS_S = 3600.0
FORGET_S = 3600.0
LOST_S = 5.0
DELIVERIES_S = 5.0

SCHEDULE = {
    "sweep endpoints": {
        "task": "reconcile.sweep",
        "schedule": SWEEP_S,
        "options": {"expires": SWEEP_S},
    },
    "sweep validations": {
        "task": "registry.sweep",
        "schedule": VALIDATION_SWEEP_S,
        "options": {"expires": VALIDATION_SWEEP_S},
    },
    "collect artifacts": {
        "task": "registry.collect",
        "schedule": COLLECT_S,
        "options": {"expires": COLLECT_S},
    },
    "scrape servers": {
        "task": "telemetry.scrape",
        "schedule": SCRAPE_S,
        "options": {"expires": SCRAPE_S},
    },
    "keep partitions": {
        "task": "telemetry.partitions",
        "schedule": PARTITIONS_S,
        "options": {"expires": PARTITIONS_S},
    },
    "notice lost servers": {
        "task": "fleet.lost",
        "schedule": LOST_S,
        "options": {"expires": LOST_S},
    },
    "sweep deliveries": {
        "task": "webhooks.sweep",
        "schedule": DELIVERIES_S,
        "options": {"expires": DELIVERIES_S},
    },
    "forget deliveries": {
        "task": "webhooks.forget",
        "schedule": FORGET_S,
        "options": {"expires": FORGET_S},
    },
    "forget sessions": {
        "task": "access.forget",
        "schedule": FORGET_S,
        "options": {"expires": FORGET_S},
    },
    "forget kept answers": {
        "task": "idempotency.forget",
        "schedule": FORGET_S,
        "options": {"expires": FORGET_S},
    },
}

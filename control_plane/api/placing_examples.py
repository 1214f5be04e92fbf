"""Examples of what is said of placements and of servers that are drained."""

from __future__ import annotations

from typing import Any

_PLACING = {
    "servers": ["a", "c"],
    "explanation": [
        {"server": "a", "standing": "placed", "reason": "placed here"},
        {
            "server": "b",
            "standing": "leaving",
            "reason": "is being drained: goes once the others serve",
        },
        {"server": "c", "standing": "placed", "reason": "placed here anew"},
        {
            "server": "d",
            "standing": "refused",
            "reason": "needs 2.0 GiB of memory, and 1.0 GiB of 8.0 GiB are free",
        },
    ],
    "problem": "",
}

PLACING: dict[str, Any] = {
    "Placing": _PLACING,
    "Placement": _PLACING
    | {
        "placement": {"servers": {"tier": "gpu"}, "replicas": 2, "spread": "zone"},
        "words": "2 of the servers with tier gpu, spread by zone",
    },
    "Scheduling": {
        "state": "Draining",
        "reason": "new disk",
        "by": "ada",
        "since": "2026-11-27T03:00:00Z",
        "left": [{"endpoint": "digits", "reason": "is being drained: goes once the others serve"}],
    },
}

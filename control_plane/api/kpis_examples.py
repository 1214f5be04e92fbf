"""An example of an endpoint's figures, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

_REQUESTS = {
    "requests": 14820,
    "rps": 49.4,
    "success_rps": 49.4,
    "failed_share": 0.0,
    "p50_us": 913.4,
    "p95_us": 1741.0,
    "p99_us": 4910.2,
    "first_p50_us": 913.4,
    "first_p95_us": 1741.0,
    "first_p99_us": 4910.2,
    "peak_rps": 61.2,
    "degradation": 1.31,
}
_MODEL = {
    "requests": 14820,
    "rps": 49.4,
    "queue_us": 727.1,
    "processing_us": 489.3,
    "queue_share": 0.598,
    "batch_rows": 1.06,
    "batch_requests": 1.06,
    "utilisation": 0.024,
    "cache_hit_share": None,
    "pending": 2,
    "instances": 1,
}
_TIME = [
    {"name": "network", "us": 310.0},
    {"name": "router", "us": 189.2},
    {"name": "queue", "us": 727.1},
    {"name": "copy_in", "us": 23.0},
    {"name": "compute", "us": 343.4},
    {"name": "copy_out", "us": 122.9},
    {"name": "rest", "us": 2.9},
]

TRY: dict[str, Any] = {
    "id": 3,
    "code": "shorter-delay",
    "arm": "digits-v1",
    "step": "",
    "change": "let batches form of what waits already: no queue delay",
    "state": "succeeded",
    "reason": "both were measured",
    "server": "lab-1",
    "before": 12,
    "after": 13,
    "before_us": 1504.2,
    "after_us": 988.7,
    "ratio": 0.657,
    "asked_by": "ada",
    "created_at": "2026-11-26T10:01:00Z",
    "status_url": "https://nereid.example.com/api/v1/endpoints/digits/kpis/tries/3",
}

KPIS: dict[str, Any] = {
    "endpoint": "digits",
    "since": "2026-11-26T10:00:00Z",
    "until": "2026-11-26T10:05:00Z",
    "measured_seconds": 300.0,
    "figures": _REQUESTS,
    "time": _TIME,
    "network": {"us": 310.0, "perf_run": 12, "level": "1 caller"},
    "arms": [
        {
            "name": "digits-v1",
            "target": "digits:1",
            "physical": "digits.v1.695b0d",
            "primary": True,
            "share": 1.0,
            "shared": False,
            "figures": _REQUESTS,
            "model": _MODEL,
            "time": _TIME,
            "steps": [],
        }
    ],
    "findings": [
        {
            "code": "shorter-delay",
            "arm": "digits-v1",
            "step": "",
            "target": "digits:1",
            "detail": "a batch waits up to 500 us for company, and 1.06 requests share one: they "
            "wait for nobody",
            "change": "let batches form of what waits already: no queue delay",
            "overrides": {"dynamic_batching": {"max_queue_delay_microseconds": 0}},
            "saves_us": 500.0,
            "of_us": 1718.5,
            "rps": 49.4,
            "effort": 1,
            "effort_words": "a setting of how the version is served: applied while it serves",
            "roi": 0.0247,
            "estimate": "analytical: a request that nobody joins waits out the delay, at most the "
            "queue measured",
            "measure": "nereid tune digits.v1 --objective latency --rate 49 "
            "--space queue_delay_us=0,500",
            "can_be_tried": True,
            "tried": TRY,
        }
    ],
}

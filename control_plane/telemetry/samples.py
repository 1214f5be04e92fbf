"""From Triton's metrics to rows: which counters are kept, and under which names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from control_plane.ports.triton import Sample

# nv_* metric -> column; the three compute durations add up.
MODEL_COLUMNS = {
    "nv_inference_request_success_total": "requests_ok",
    "nv_inference_request_failure_total": "requests_failed",
    "nv_inference_count_total": "inferences",
    "nv_inference_exec_count_total": "executions",
    "nv_inference_request_duration_us_total": "request_us",
    "nv_inference_queue_duration_us_total": "queue_us",
    "nv_inference_compute_input_duration_us_total": "compute_us",
    "nv_inference_compute_infer_duration_us_total": "compute_us",
    "nv_inference_compute_output_duration_us_total": "compute_us",
    "nv_inference_pending_request_count": "pending",
}

ROUTER_REQUESTS = "nereid_requests_total"
"""One increment per attempt, on the arm that ran it, with its outcome."""

HANDED_ON = frozenset({"rescued", "both_failed"})
"""The arm failed, and the primary was asked in its stead: that attempt counts there."""

FAILED = frozenset({"error", "timeout"}) | HANDED_ON
"""The arm's own failures; what it refused or the caller gave up is none."""

SEEN = frozenset({"error", "timeout", "rejected"})
"""What the caller got as an error."""


@dataclass(frozen=True)
class Scrape:
    """The rows of one scrape of one server, ready for the store."""

    models: list[dict[str, Any]]
    arms: list[dict[str, Any]]


def rows(samples: Iterable[Sample], server_id: UUID, sampled_at: datetime) -> Scrape:
    """Sums one page of metrics into a row per model version and a row per arm and outcome.

    Routers are left out of the model rows: their counters stand beside those of the arms that
    did the work, and would count every request twice.
    """
    models: dict[tuple[str, str], dict[str, int]] = defaultdict(
        lambda: dict.fromkeys(MODEL_COLUMNS.values(), 0)
    )
    arms: dict[tuple[str, str, str], int] = defaultdict(int)
    for sample in samples:
        name = _counter_name(sample.name)
        if name in MODEL_COLUMNS and "model" in sample.labels:
            key = (sample.labels["model"], sample.labels.get("version", "1"))
            models[key][MODEL_COLUMNS[name]] += int(sample.value)
        elif name == ROUTER_REQUESTS:
            labels = sample.labels
            arms[labels["endpoint"], labels["arm"], labels["outcome"]] += int(sample.value)
    base = {"sampled_at": sampled_at, "server_id": server_id}
    return Scrape(
        models=[
            {**base, "model": model, "version": version, **values}
            for (model, version), values in models.items()
            if "." in model
        ],
        arms=[
            {**base, "endpoint": endpoint, "arm": arm, "outcome": outcome, "requests": requests}
            for (endpoint, arm, outcome), requests in arms.items()
        ],
    )


def _counter_name(name: str) -> str:
    """Triton names its counters without `_total`; the parser of the text format adds none."""
    return name if name in MODEL_COLUMNS or name.endswith("_total") else f"{name}_total"

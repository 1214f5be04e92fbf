"""From Triton's metrics to rows: which counters are kept, and under which names."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from control_plane.domain.confidence import OVERFLOW, edge_near
from control_plane.ports.triton import Sample
from control_plane.telemetry.counters import ArmCounters
from control_plane.telemetry.latency import bucket_of, own_counts
from control_plane.telemetry.model_counters import ModelCounters, counter_name, model_counters

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

DURATIONS = "nereid_request_duration_us"
"""The histogram of attempts; `control_plane.domain.latency` says how it is kept."""

SHADOW = "nereid_shadow_"
FIRST = "nereid_first_response_us"
"""The same until the first response, which only differs where answers are streamed."""

COPIES = "nereid_shadow_duration_us"
"""The same of copies of requests."""

CONFIDENCE = "nereid_output_confidence"
"""How sure answers are; `control_plane.domain.confidence` says how it is kept."""

KEYS = "nereid_keys_total"
"""Sticky keys, each once, by how the first of their requests ended."""

COUNTERS = {
    ("nereid_shadow_requests_total", "outcome", "ok"): "shadow_ok",
    ("nereid_shadow_requests_total", "outcome", "error"): "shadow_failed",
    ("nereid_shadow_rows_total", "top1", "same"): "shadow_same",
    ("nereid_shadow_rows_total", "top1", "other"): "shadow_other",
    (KEYS, "outcome", "good"): "keys_good",
    (KEYS, "outcome", "bad"): "keys_bad",
}
"""(metric, label, its value) -> column; what was dropped says nothing of the arm."""

BREAKER = "nereid_breaker_state"
ALLOWANCE = "nereid_allowance_left"


def _confidence_of(edge: str) -> int:
    """The bucket whose upper edge is a Prometheus `le` label, a probability."""
    value = float(edge)
    return OVERFLOW if value > 1 else edge_near(value)


_HISTOGRAMS: Mapping[str, Callable[[str], int]] = {
    DURATIONS: bucket_of,
    FIRST: bucket_of,
    COPIES: bucket_of,
    CONFIDENCE: _confidence_of,
}
"""What has buckets -> the number of the one with an upper edge."""

_SUMS = {
    f"{CONFIDENCE}_count": ("confidence_of", 1),
    f"{CONFIDENCE}_sum": ("confidence_sum", 1_000_000),
}
"""Sample -> column, and how many of its units are one."""

_OF_ARMS = (DURATIONS, FIRST, SHADOW, CONFIDENCE, KEYS[:-6], BREAKER, ALLOWANCE)

HOST = {
    "nv_cpu_memory_used_bytes": "memory_used",
    "nv_cpu_memory_total_bytes": "memory_total",
    "nv_cpu_utilization": "cpu",
    "nv_gpu_memory_used_bytes": "gpu_memory_used",
    "nv_gpu_memory_total_bytes": "gpu_memory_total",
}
"""nv_* metric -> what is kept of the machine; several GPUs add up."""


@dataclass(frozen=True)
class Scrape:
    """The rows of one scrape of one server, ready for the store."""

    server_id: UUID
    sampled_at: datetime
    models: list[dict[str, Any]]
    arms: list[dict[str, Any]]
    counters: list[ArmCounters]
    model_counters: list[ModelCounters]
    host: dict[str, float]


def rows(samples: Iterable[Sample], server_id: UUID, sampled_at: datetime) -> Scrape:
    """Sums one page of metrics into a row per model version and a row per arm and outcome.

    Routers are left out of the model rows: their counters stand beside those of the arms that
    did the work, and would count every request twice.
    """
    page = list(samples)
    models: dict[tuple[str, str], dict[str, int]] = defaultdict(
        lambda: dict.fromkeys(MODEL_COLUMNS.values(), 0)
    )
    arms: dict[tuple[str, str, str], int] = defaultdict(int)
    for sample in page:
        name = counter_name(sample.name)
        if name in MODEL_COLUMNS and "model" in sample.labels:
            key = (sample.labels["model"], sample.labels.get("version", "1"))
            models[key][MODEL_COLUMNS[name]] += int(sample.value)
        elif name == ROUTER_REQUESTS:
            labels = sample.labels
            arms[labels["endpoint"], labels["arm"], labels["outcome"]] += int(sample.value)
    base = {"sampled_at": sampled_at, "server_id": server_id}
    return Scrape(
        server_id=server_id,
        sampled_at=sampled_at,
        counters=_counters(page, arms, models),
        model_counters=model_counters(page),
        host=_host(page),
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


def _counters(
    page: Iterable[Sample],
    requests: Mapping[tuple[str, str, str], int],
    models: Mapping[tuple[str, str], Mapping[str, int]],
) -> list[ArmCounters]:
    """Every arm that has a counter, a histogram or a gauge."""
    outcomes: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for (endpoint, arm, outcome), count in requests.items():
        outcomes[endpoint, arm][outcome] = count
    below: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    others: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    more: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for sample in page:
        if not sample.name.startswith(_OF_ARMS):
            continue
        of = sample.labels["endpoint"], sample.labels["arm"]
        if (family := sample.name.removesuffix("_bucket")) in _HISTOGRAMS:
            bucket = _HISTOGRAMS[family](sample.labels["le"])
            below[family, *of].append((bucket, int(sample.value)))
        elif (name := _counted_as(sample)) is not None:
            more[of][name] = round(_SUMS.get(sample.name, ("", 1))[1] * sample.value)
        elif sample.name == f"{DURATIONS}_sum":
            others[of]["duration_us"] = int(sample.value)
        elif sample.name == BREAKER:
            others[of]["breaker"] = int(sample.value)
        elif sample.name == ALLOWANCE and math.isfinite(sample.value):  # +Inf is no bound
            others[of][f"{sample.labels['of']}_left"] = int(sample.value)
    found = {(endpoint, arm) for family, endpoint, arm in below if family == DURATIONS}
    return [
        ArmCounters(
            endpoint=endpoint,
            arm=arm,
            outcomes=outcomes[endpoint, arm],
            duration_us=others[endpoint, arm].get("duration_us", 0),
            buckets=own_counts(below[DURATIONS, endpoint, arm]),
            first=own_counts(below[FIRST, endpoint, arm]),
            shadow=own_counts(below[COPIES, endpoint, arm]),
            confidence=own_counts(below[CONFIDENCE, endpoint, arm]),
            more={**more[endpoint, arm], **_queue(models, arm)},
            breaker=others[endpoint, arm].get("breaker"),
            attempts_left=others[endpoint, arm].get("attempts_left"),
            failures_left=others[endpoint, arm].get("failures_left"),
        )
        for endpoint, arm in sorted({*outcomes, *found, *others})
    ]


def _counted_as(sample: Sample) -> str | None:
    if sample.name in _SUMS:
        return _SUMS[sample.name][0]
    name = counter_name(sample.name)
    found = (COUNTERS.get((name, label, value)) for label, value in sample.labels.items())
    return next((column for column in found if column), None)


def _queue(models: Mapping[tuple[str, str], Mapping[str, int]], arm: str) -> dict[str, int]:
    """What the arm's model counted of all its requests: Triton does not say whose they were."""
    its = [counters for (model, _), counters in models.items() if model == arm]
    if not its:
        return {}
    return {
        "queue_us": sum(counters["queue_us"] for counters in its),
        "queued": sum(counters["requests_ok"] for counters in its),
    }


def _host(page: Iterable[Sample]) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for sample in page:
        if sample.name in HOST:
            found[HOST[sample.name]] += sample.value
    return dict(found)

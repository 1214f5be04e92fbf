"""What Triton counts of each model and version, and what that grew by between two scrapes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from control_plane.ports.triton import Sample
from control_plane.telemetry.tables import MODEL_COUNTS

COUNTERS = {
    "nv_inference_request_success_total": "requests_ok",
    "nv_inference_request_failure_total": "requests_failed",
    "nv_inference_count_total": "inferences",
    "nv_inference_exec_count_total": "executions",
    "nv_inference_request_duration_us_total": "request_us",
    "nv_inference_queue_duration_us_total": "queue_us",
    "nv_inference_compute_input_duration_us_total": "compute_input_us",
    "nv_inference_compute_infer_duration_us_total": "compute_infer_us",
    "nv_inference_compute_output_duration_us_total": "compute_output_us",
    "nv_cache_num_hits_per_model_total": "cache_hits",
    "nv_cache_num_misses_per_model_total": "cache_misses",
}
"""nv_* metric -> one of `tables.MODEL_COUNTS`; failures come in several reasons, which add up."""

PENDING = "nv_inference_pending_request_count"


@dataclass(frozen=True)
class ModelCounters:
    """One version of one model on one server; a router has several, and is there as well.

    `counts` are since it was loaded, by the names of `tables.MODEL_COUNTS`; `pending` is how many
    requests were in its queue.
    """

    model: str
    version: str
    counts: Mapping[str, int]
    pending: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.model, self.version


def model_counters(page: Iterable[Sample]) -> list[ModelCounters]:
    """Everything on one page of metrics that is of a model."""
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(
        lambda: dict.fromkeys(MODEL_COUNTS, 0)
    )
    pending: dict[tuple[str, str], int] = defaultdict(int)
    for sample in page:
        if "model" not in sample.labels:
            continue
        key = (sample.labels["model"], sample.labels.get("version", "1"))
        if column := COUNTERS.get(counter_name(sample.name)):
            counts[key][column] += int(sample.value)
        elif sample.name == PENDING:
            pending[key] += int(sample.value)
    return [ModelCounters(*key, counts=its, pending=pending[key]) for key, its in counts.items()]


def grown(before: Mapping[str, int] | None, now: ModelCounters) -> dict[str, int]:
    """What came since; all of it is new where there was nothing before.

    A counter that went down was reset when its model was loaded anew, and so were the others.
    """
    before = before or {}
    if any(count < before.get(name, 0) for name, count in now.counts.items()):
        before = {}
    return {name: count - before.get(name, 0) for name, count in now.counts.items()}


def counter_name(name: str) -> str:
    """Triton names its counters without `_total`; the parser of the text format adds none."""
    return name if name == PENDING or name.endswith("_total") else f"{name}_total"

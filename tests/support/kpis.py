"""Pages of metrics as a Triton with a router has them, and scrapes of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from control_plane.ports.triton import Sample
from control_plane.telemetry.samples import rows
from control_plane.telemetry.store import TelemetryStore

QUEUE_US, BATCH_US, OWN_US = 1000, 500, 40
"""What each request waits, what each batch takes (of two requests), and the router's own."""


def page(requests: int, *arms: str, failed: int = 0, hits: int = 0) -> list[Sample]:
    """Each arm's counters after so many requests of 2 ms, of which some failed or were cached."""
    found: list[Sample] = []
    for arm in arms:
        of = {"endpoint": "digits", "arm": arm}
        found += [
            Sample("nereid_requests_total", {**of, "outcome": "ok"}, requests - failed),
            Sample("nereid_requests_total", {**of, "outcome": "error"}, failed),
            Sample("nereid_request_duration_us_bucket", {**of, "le": "2038"}, requests),
            Sample("nereid_request_duration_us_bucket", {**of, "le": "+Inf"}, requests),
            Sample("nereid_request_duration_us_sum", of, requests * 2000),
            *_model(arm, "1", requests, QUEUE_US, BATCH_US, hits),
        ]
    all_of_them = requests * len(arms)
    return [*found, *_model("digits", "1000000000", all_of_them, OWN_US, 1900, 0)]


def _model(
    model: str, version: str, requests: int, queue: int, infer: int, hits: int
) -> Iterable[Sample]:
    labels = {"model": model, "version": version}
    computed = requests - hits
    counters = {
        "nv_inference_request_success": requests,
        "nv_inference_request_failure": 0,
        "nv_inference_count": computed,
        "nv_inference_exec_count": computed // 2,
        "nv_inference_request_duration_us": requests * 1900,
        "nv_inference_queue_duration_us": requests * queue,
        "nv_inference_compute_input_duration_us": 0,
        "nv_inference_compute_infer_duration_us": computed * infer,
        "nv_inference_compute_output_duration_us": 0,
    }
    if hits:
        counters |= {
            "nv_cache_num_hits_per_model": hits,
            "nv_cache_num_misses_per_model": computed,
        }
    yield from (Sample(name, labels, value) for name, value in counters.items())
    yield Sample("nv_inference_pending_request_count", labels, 3)


def minutes_of_traffic(
    store: TelemetryStore, server: UUID, until: datetime, *arms: str, minutes: int = 10
) -> None:
    """Ten requests a second on each arm, scraped every five seconds until then."""
    for i in range(minutes * 12 + 1):
        at = until - timedelta(seconds=5 * (minutes * 12 - i))
        store.write(rows(page(50 * i, *arms), server, at))

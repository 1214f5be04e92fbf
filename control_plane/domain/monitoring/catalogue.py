"""Every metric that Nereid exposes, in one list: what the dashboards and rules are made from.

The control plane makes its own page from this list; the router's metrics are registered in C++
(`backends/traffic/metrics.cc`), and a test holds the two against each other on a running Triton.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What Prometheus takes a metric for."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Source(StrEnum):
    """Whose page it is on."""

    ROUTER = "router"  # Triton's, of the backend `traffic`
    CASCADE = "cascade"  # Triton's, where a cascade serves
    TRITON = "triton"  # Triton's own
    CONTROL_PLANE = "control plane"


@dataclass(frozen=True)
class Metric:
    """One metric: its name as it is scraped, what it counts, in which unit, and its labels."""

    name: str
    kind: Kind
    help: str
    unit: str
    labels: tuple[str, ...]
    source: Source


_ARM = ("endpoint", "arm")
_MODEL = ("model", "version")


def _router(name: str, kind: Kind, says: str, unit: str = "requests", *more: str) -> Metric:
    return Metric(name, kind, says, unit, (*_ARM, *more), Source.ROUTER)


def _triton(name: str, says: str, unit: str, kind: Kind = Kind.COUNTER) -> Metric:
    return Metric(name, kind, says, unit, _MODEL, Source.TRITON)


def _own(name: str, says: str, unit: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, says, unit, labels, Source.CONTROL_PLANE)


ROUTER = (
    _router(
        "nereid_requests_total",
        Kind.COUNTER,
        "Attempts on an arm of an endpoint, by what became of them",
        "attempts",
        "outcome",
    ),
    _router(
        "nereid_request_duration_us",
        Kind.HISTOGRAM,
        "Time from an attempt's beginning to the arm's last response, in microseconds",
        "microseconds",
    ),
    _router(
        "nereid_first_response_us",
        Kind.HISTOGRAM,
        "Time from an attempt's beginning to the arm's first response, in microseconds",
        "microseconds",
    ),
    _router(
        "nereid_inflight_requests",
        Kind.GAUGE,
        "Requests that an arm of an endpoint is working on, shadows and abandoned ones included",
    ),
    _router(
        "nereid_keys_total",
        Kind.COUNTER,
        "Sticky keys of an arm under one load of its router, by how the first of their requests "
        "ended that says anything of the arm",
        "keys",
        "outcome",
    ),
    _router(
        "nereid_ejections_total",
        Kind.COUNTER,
        "How often an arm's circuit breaker opened",
        "times",
    ),
    _router(
        "nereid_diverted_total",
        Kind.COUNTER,
        "Requests meant for an arm that another one got, by the reason",
        "requests",
        "reason",
    ),
    _router(
        "nereid_shadow_requests_total",
        Kind.COUNTER,
        "Copies of requests sent to an arm whose answers nobody waits for",
        "requests",
        "outcome",
    ),
    _router(
        "nereid_shadow_duration_us",
        Kind.HISTOGRAM,
        "Time from a copy's submission to the arm's last response, in microseconds",
        "microseconds",
    ),
    _router(
        "nereid_shadow_rows_total",
        Kind.COUNTER,
        "Rows of a shadow's compared output, by whether their largest value stands where the "
        "answer's does",
        "rows",
        "top1",
    ),
    _router(
        "nereid_shadow_difference",
        Kind.HISTOGRAM,
        "Largest absolute difference between a shadow's output and the answer's",
        "the output's own",
    ),
    _router(
        "nereid_output_confidence",
        Kind.HISTOGRAM,
        "How sure an arm's answers are: the probability of the likeliest class, in the mean of a "
        "request's rows",
        "probability",
    ),
    _router("nereid_pinned_sequences", Kind.GAUGE, "Live sequences held to an arm", "sequences"),
    _router(
        "nereid_breaker_state",
        Kind.GAUGE,
        "An arm's circuit breaker: 0 closed, 1 half-open, 2 open",
        "state",
    ),
    _router(
        "nereid_allowance_left",
        Kind.GAUGE,
        "Attempts or failures an arm is still allowed, those under way not taken off the "
        "failures; +Inf where there is no bound",
        "attempts or failures",
        "of",
    ),
    _router(
        "nereid_arm_score",
        Kind.GAUGE,
        "An arm's score under an adaptive policy, the lowest gets the request; NaN under others",
        "score",
    ),
)

CASCADE = (
    Metric(
        "nereid_cascade_rows_total",
        Kind.COUNTER,
        "Rows that each member of a cascade answered",
        "rows",
        ("model", "member"),
        Source.CASCADE,
    ),
)

TRITON = (
    _triton(
        "nv_inference_request_success",
        "Number of successful inference requests, all batch sizes",
        "requests",
    ),
    _triton("nv_inference_count", "Rows that a model computed", "rows"),
    _triton("nv_inference_exec_count", "Batches that a model computed", "executions"),
    _triton("nv_inference_queue_duration_us", "Time that requests waited", "microseconds"),
    _triton(
        "nv_inference_compute_input_duration_us", "Time to put batches together", "microseconds"
    ),
    _triton("nv_inference_compute_infer_duration_us", "Time to compute", "microseconds"),
    _triton("nv_inference_compute_output_duration_us", "Time to make answers", "microseconds"),
    _triton(
        "nv_inference_pending_request_count",
        "Requests that wait for a model",
        "requests",
        Kind.GAUGE,
    ),
    Metric("nv_cpu_utilization", Kind.GAUGE, "Use of the processors", "0 to 1", (), Source.TRITON),
    Metric("nv_cpu_memory_used_bytes", Kind.GAUGE, "Memory in use", "bytes", (), Source.TRITON),
)
"""Of Triton's own metrics, those that the rules and dashboards read."""

CONTROL_PLANE = (
    _own("nereid_build_info", "The control plane's version; always 1", "", "version"),
    _own("nereid_endpoints", "Endpoints by status", "endpoints", "status"),
    _own(
        "nereid_endpoints_behind",
        "Endpoints whose newest generation does not serve yet",
        "endpoints",
    ),
    _own("nereid_servers", "Servers by status", "servers", "status"),
    _own(
        "nereid_server_heard_seconds",
        "How long ago each server's node was last heard of",
        "seconds",
        "server",
    ),
    _own(
        "nereid_server_scraped_seconds",
        "How long ago each server's metrics were last scraped",
        "seconds",
        "server",
    ),
    _own(
        "nereid_preparations_failed",
        "Preparations of present generations that failed on a server",
        "preparations",
    ),
    _own(
        "nereid_drift",
        "Changes made by hand on servers: those that stand, and those put right in the last day",
        "changes",
        "server",
        "state",
    ),
    _own("nereid_versions", "Model versions by state", "versions", "state"),
    _own("nereid_rollouts", "Rollouts by state", "rollouts", "state"),
    _own("nereid_perf_runs", "Perf runs by state", "runs", "state"),
    _own("nereid_changes_waiting", "Changes that wait for a second person", "changes"),
    _own(
        "nereid_webhooks_in_trouble",
        "Webhooks whose receivers fail, or had them disabled",
        "webhooks",
    ),
)
"""Read from the database at each scrape: the same whichever process of the API is asked."""

METRICS = (*ROUTER, *CASCADE, *TRITON, *CONTROL_PLANE)

NAMES = {metric.name: metric for metric in METRICS}

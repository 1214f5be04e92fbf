"""The figures: each a function of what was counted, with its unit, formula and source.

None is "not measured", never zero. Sources: the router's metrics (backends/README.md) and Triton's
(`nv_inference_*`, `nv_cache_*`), scraped every few seconds and kept by the minute, so that every
figure is exact for whole minutes.
"""

from __future__ import annotations

from control_plane.domain.kpis.counted import ArmCounts, ArmPiece, ModelCounts
from control_plane.domain.latency import merged, quantile

LEAST_REQUESTS = 100
"""In a piece of time, for its p95 to say something."""

LOAD_APART = 1.5
"""How much busier the busy part has to be than the quiet one, for load to explain anything."""


def latency_us(arm: ArmCounts, q: float) -> float | None:
    """Latency at quantile q [us]: an attempt's beginning until the arm's last response.

    p_q = the q-quantile of `nereid_request_duration_us`, within 2.5 % (`domain.latency`).
    """
    return quantile(arm.latencies, q)


def first_response_us(arm: ArmCounts, q: float) -> float | None:
    """Time to the first response at quantile q [us]; differs where answers are streamed.

    p_q = the q-quantile of `nereid_first_response_us`, within 5 %.
    """
    return quantile(arm.first, q)


def rate(arm: ArmCounts, seconds: float) -> float | None:
    """Attempts per second [1/s], those on behalf of another arm among them.

    rps = increase of `nereid_requests_total` / measured seconds. Example: 3,000 in 60 s are 50.
    """
    return arm.requests / seconds if seconds > 0 else None


def success_rate(arm: ArmCounts, seconds: float) -> float | None:
    """Attempts per second that the arm neither failed nor refused [1/s].

    success rps = (attempts - failures - refused) / measured seconds, from `nereid_requests_total`
    with failures = error, timeout, rescued, both_failed and refused = rejected. What a caller gave
    up (cancelled) is neither's fault, and stays in. Example: 3,000 with 60 failures in 60 s are 49.
    """
    well = arm.requests - arm.failures - arm.refused
    return max(0, well) / seconds if seconds > 0 else None


def failed_share(arm: ArmCounts) -> float | None:
    """Share of the attempts that the arm failed [0 to 1], seen by callers or not.

    failures / attempts, from `nereid_requests_total`.
    """
    return arm.failures / arm.requests if arm.requests else None


def sustained_peak(arm: ArmCounts) -> float | None:
    """The highest rate that was held for a whole minute [1/s].

    peak = max over whole minutes of (attempts / measured seconds), from `nereid_requests_total`;
    a minute counts of which half was measured. It is what came, not what could be served.
    """
    return arm.busiest_rps


def degradation(arm: ArmCounts) -> float | None:
    """How much longer requests take when it is busy [ratio]: 1 is not at all.

    p95 of the busy quarter of the time / p95 of the quiet quarter, from
    `nereid_request_duration_us`. The pieces of the span are put in the order of their rate; those
    with fewer than `LEAST_REQUESTS` requests are left out. None where fewer than four are left, or
    where the busy quarter was less than `LOAD_APART` times as busy: the load explains nothing then.
    Example: 2 ms at 100/s and 3 ms at 200/s are 1.5.
    """
    known = sorted((p for p in arm.pieces if p.requests >= LEAST_REQUESTS), key=_rate)
    if len(known) < 4:
        return None
    part = len(known) // 4
    quiet, busy = known[:part], known[-part:]
    if _rate(quiet[-1]) * LOAD_APART > _rate(busy[0]):
        return None
    before, after = (quantile(merged(p.latencies for p in some), 0.95) for some in (quiet, busy))
    return after / before if before and after else None


def queue_us(model: ModelCounts) -> float | None:
    """Mean wait for an instance or a batch [us].

    `nv_inference_queue_duration_us` / `nv_inference_request_success`.
    """
    return _mean(model.queue_us, model.requests_ok)


def processing_us(model: ModelCounts) -> float | None:
    """Mean time in a batch [us]: put together, computed, answered.

    (compute_input + compute_infer + compute_output) / computed requests, of
    `nv_inference_compute_*_duration_us`.
    """
    return _mean(model.compute_us, model.computed)


def queue_share(model: ModelCounts) -> float | None:
    """Queue against processing [0 to 1]: the part of a request's time that it only waits.

    queue / (queue + compute), of the same sums. Example: 1 ms and 3 ms are 0.25.
    """
    whole = model.queue_us + model.compute_us
    return model.queue_us / whole if whole else None


def model_rate(model: ModelCounts, seconds: float) -> float | None:
    """Requests per second, whoever sent them [1/s].

    Increase of `nv_inference_request_success` and `..._failure` / measured seconds.
    """
    return (model.requests_ok + model.requests_failed) / seconds if seconds > 0 else None


def batch_rows(model: ModelCounts) -> float | None:
    """Batch size achieved [rows]: how many rows an execution had.

    `nv_inference_count` / `nv_inference_exec_count`.
    """
    return _mean(model.inferences, model.executions)


def batch_requests(model: ModelCounts) -> float | None:
    """How many requests shared an execution [requests]; 1 is no batching at all.

    Computed requests / `nv_inference_exec_count`.
    """
    return _mean(model.computed, model.executions)


def utilisation(model: ModelCounts) -> float | None:
    """How much of the time its instances worked [0 to 1].

    busy / (instances * measured seconds), both summed over servers, with
    busy = compute time summed over requests * executions / computed requests: Triton adds the time
    of a batch to each of its requests. Example: one instance, 60 s, 1,000 executions of 4 requests
    each, 24 s summed over the requests: 6 s of work, 0.1.
    """
    if not model.instance_seconds or not model.computed:
        return None
    busy_us = model.compute_us * model.executions / model.computed
    return busy_us / 1e6 / model.instance_seconds


def cache_hit_share(model: ModelCounts) -> float | None:
    """Share of the requests that the response cache answered [0 to 1].

    hits / (hits + misses), of `nv_cache_num_hits_per_model` and `nv_cache_num_misses_per_model`;
    None where the model has no cache.
    """
    return _mean(model.cache_hits, model.cache_hits + model.cache_misses)


def _mean(total: float, count: float) -> float | None:
    return total / count if count else None


def _rate(piece: ArmPiece) -> float:
    return piece.requests / piece.seconds if piece.seconds > 0 else 0.0

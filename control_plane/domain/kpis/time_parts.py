"""Where the time of a request goes: one bar, in microseconds of its mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from control_plane.domain.kpis.counted import ArmCounts, ModelCounts

PARTS = ("network", "router", "queue", "copy_in", "compute", "copy_out", "rest")
"""As a request meets them; `rest` is what the server needed and nobody accounts for."""


@dataclass(frozen=True)
class Part:
    """One part of a request's mean time."""

    name: str
    us: float


@dataclass(frozen=True)
class StepWork:
    """A step's model, and how often a request of the pipeline asks it (a cascade: 1 or less)."""

    model: ModelCounts
    visits: float = 1.0


def model_parts(model: ModelCounts) -> tuple[Part, ...]:
    """Of a model by itself, as it serves as a step; none where nothing was asked of it.

    queue, copy_in = compute_input (a batch is put together from its requests), compute =
    compute_infer, copy_out = compute_output (answers are made), each summed over requests /
    requests [us], from `nv_inference_*_duration_us`; rest = request - their sum.
    """
    if not model.requests_ok:
        return ()
    inside = _inside([StepWork(model)])
    rest = model.request_us / model.requests_ok - sum(inside.values())
    return _parts({**inside, "rest": rest})


def arm_parts(
    arm: ArmCounts,
    router: ModelCounts | None,
    model: ModelCounts | None,
    steps: Sequence[StepWork] = (),
    network_us: float | None = None,
) -> tuple[Part, ...]:
    """Of a request that an arm answers, from the client's socket and back where that is known.

    router = its own queue, decision and release, a request of the endpoint
             ((queue + compute_input + compute_output) / requests of the router's model)
           + what an attempt takes beyond its model's request (mean of
             `nereid_request_duration_us` - request / requests of the model): the hand-over
    queue, copy_in, compute, copy_out = those of the model; of a pipeline those of its steps, each
           times how often a request asks it
    rest = the model's request - these: of a pipeline, what it takes to go from step to step
    network = measured by a perf run, for Triton sees nothing of it; left out where there is none

    Steps that run side by side can add up to more than the request: `rest` is 0 then.
    """
    if model is None or not model.requests_ok:
        return ()
    request = model.request_us / model.requests_ok
    inside = _inside(steps or [StepWork(model)])
    parts = {**inside, "rest": request - sum(inside.values())}
    parts["router"] = _own(router) + max(0.0, (_attempt(arm) or request) - request)
    if network_us is not None:
        parts["network"] = network_us
    return _parts(parts)


def _inside(steps: Sequence[StepWork]) -> dict[str, float]:
    found = dict.fromkeys(("queue", "copy_in", "compute", "copy_out"), 0.0)
    for step in steps:
        each = step.visits / step.model.requests_ok if step.model.requests_ok else 0.0
        found["queue"] += step.model.queue_us * each
        found["copy_in"] += step.model.compute_input_us * each
        found["compute"] += step.model.compute_infer_us * each
        found["copy_out"] += step.model.compute_output_us * each
    return found


def _own(router: ModelCounts | None) -> float:
    if router is None or not router.requests_ok:
        return 0.0
    own = router.queue_us + router.compute_input_us + router.compute_output_us
    return own / router.requests_ok


def _attempt(arm: ArmCounts) -> float | None:
    lasted = sum(arm.latencies.values())
    return arm.duration_us / lasted if lasted else None


def _parts(found: dict[str, float]) -> tuple[Part, ...]:
    return tuple(Part(name, max(0.0, found[name])) for name in PARTS if name in found)

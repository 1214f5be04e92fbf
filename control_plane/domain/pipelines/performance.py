"""How a pipeline does as a whole, from what its steps were measured to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from control_plane.domain.pipelines.members import WiredStep


@dataclass(frozen=True)
class StepCounts:
    """What Triton counted of one step's model since it was loaded, all servers together.

    `request_us` and `compute_us` are sums over requests; `instances` work at the same time.
    """

    succeeded: int
    failed: int
    rows: int
    executions: int
    request_us: int
    compute_us: int
    instances: int = 1


@dataclass(frozen=True)
class StepFigures:
    """One step: milliseconds from its queue to its answer, rows a second at most, and share right.

    None is not measured: nothing was asked of it yet.
    """

    step: str
    latency_ms: float | None
    throughput: float | None
    availability: float | None
    share: float | None = None


@dataclass(frozen=True)
class SystemFigures:
    """The pipeline; `path` are the steps that its latency is the sum of.

    `slowest` takes the most time of these, `narrowest` lets through the fewest rows. Where a step
    was not measured, neither was the whole: `unmeasured` names those.
    """

    steps: tuple[StepFigures, ...]
    latency_ms: float | None = None
    throughput: float | None = None
    availability: float | None = None
    path: tuple[str, ...] = ()
    slowest: str = ""
    narrowest: str = ""
    unmeasured: tuple[str, ...] = ()


def system_figures(steps: Sequence[WiredStep], counts: Mapping[str, StepCounts]) -> SystemFigures:
    """The figures of a pipeline, from those of its steps.

    System_Latency = sum over the critical path of Latency_i, the longest way through the graph:
    steps beside each other run at the same time; in a line it is the sum of all of them
    System_Throughput = min over i of Throughput_i
    System_Availability = product over i of Availability_i

    with Latency_i = request time / requests [ms], Throughput_i = instances * (rows / executions) /
    (compute time / requests) [rows/s], at the batches that came, and Availability_i = succeeded /
    (succeeded + failed). A mean says nothing of the tail; a failure of one step fails the request.

    Example: decode 2 ms and 500 rows/s, then classify 3 ms and 200 rows/s, of which 1 in 100 fails:
    5 ms, 200 rows/s, 0.99; classify is the slowest, and the narrowest.

    Args:
        steps: written out, each after those it takes from.
        counts: by the steps' names; one that is not there was not measured.
    """
    measured = {step.name: _figures(step.name, counts.get(step.name)) for step in steps}
    unmeasured = tuple(name for name, one in measured.items() if one.latency_ms is None)
    if unmeasured or not steps:
        return SystemFigures(tuple(measured.values()), unmeasured=unmeasured)
    latencies = {name: one.latency_ms or 0.0 for name, one in measured.items()}
    path = _longest(steps, latencies)
    total = sum(latencies[name] for name in path)
    throughputs = {n: one.throughput for n, one in measured.items() if one.throughput is not None}
    availability = 1.0
    for one in measured.values():
        availability *= 1.0 if one.availability is None else one.availability
    narrowest = min(throughputs, key=lambda name: throughputs[name], default="")
    return SystemFigures(
        steps=tuple(
            StepFigures(
                one.step,
                one.latency_ms,
                one.throughput,
                one.availability,
                latencies[name] / total if total and name in path else None,
            )
            for name, one in measured.items()
        ),
        latency_ms=total,
        throughput=throughputs.get(narrowest),
        availability=availability,
        path=path,
        slowest=max(path, key=lambda name: latencies[name]),
        narrowest=narrowest,
    )


def pattern_figures(
    steps: Sequence[WiredStep], counts: Mapping[str, StepCounts], whole: StepCounts | None
) -> SystemFigures:
    """The figures of a cascade or a weighted average: as its own model was measured.

    How much of its time a step takes cannot be added up from the steps': of a cascade only some
    rows reach the next one, and an average waits for the slowest of each batch.
    """
    measured = tuple(_figures(step.name, counts.get(step.name)) for step in steps)
    if whole is None or not whole.succeeded:
        unmeasured = tuple(one.step for one in measured if one.latency_ms is None)
        return SystemFigures(measured, unmeasured=unmeasured)
    own = _figures("", whole)
    return SystemFigures(measured, own.latency_ms, own.throughput, own.availability)


def _figures(step: str, counts: StepCounts | None) -> StepFigures:
    if counts is None or not counts.succeeded:
        return StepFigures(step, None, None, None)
    throughput = None
    if counts.compute_us and counts.executions:
        batch_s = counts.compute_us / counts.succeeded / 1e6
        throughput = counts.instances * (counts.rows / counts.executions) / batch_s
    return StepFigures(
        step=step,
        latency_ms=counts.request_us / counts.succeeded / 1e3,
        throughput=throughput,
        availability=counts.succeeded / (counts.succeeded + counts.failed),
    )


def _longest(steps: Sequence[WiredStep], latencies: Mapping[str, float]) -> tuple[str, ...]:
    """The way through the graph that takes the most time."""
    ways: dict[str, tuple[float, tuple[str, ...]]] = {}  # by the tensor that it ends in
    best: tuple[float, tuple[str, ...]] = (0.0, ())
    for step in steps:
        before = [ways[tensor] for tensor in step.inputs.values() if tensor in ways]
        longest, path = max(before, default=(0.0, ()))
        way = (longest + latencies[step.name], (*path, step.name))
        ways |= dict.fromkeys(step.outputs.values(), way)
        best = max(best, way)
    return best[1]

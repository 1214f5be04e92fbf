"""The figures of an endpoint, arm by arm and step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from control_plane.domain.kpis import figures
from control_plane.domain.kpis.counted import ArmCounts, Counted, ModelCounts
from control_plane.domain.kpis.setting import NO_SETTING, Setting
from control_plane.domain.kpis.time_parts import Part, StepWork, arm_parts, model_parts

SHARED = 1.05
"""From so many requests of a model for each of the arm's on, others are among them."""


@dataclass(frozen=True)
class RequestFigures:
    """What callers, or the router on their behalf, saw. Each is defined in `figures`; None is not
    measured."""

    requests: int
    rps: float | None
    success_rps: float | None
    failed_share: float | None
    p50_us: float | None
    p95_us: float | None
    p99_us: float | None
    first_p50_us: float | None
    first_p95_us: float | None
    first_p99_us: float | None
    peak_rps: float | None
    degradation: float | None


@dataclass(frozen=True)
class ModelFigures:
    """What a physical model did, whoever asked it. Each is defined in `figures`; None is not
    measured. `instances` is how many there are on all servers, 0 where it has none of its own."""

    requests: int
    rps: float | None
    queue_us: float | None
    processing_us: float | None
    queue_share: float | None
    batch_rows: float | None
    batch_requests: float | None
    utilisation: float | None
    cache_hit_share: float | None
    pending: int
    instances: int


@dataclass(frozen=True)
class Served:
    """A physical model that serves an arm or a step: what it is, and its instances by server.

    `visits` is how often a request asks it; None: as often as was counted, once at most. `version`
    is model and number where it is one, `overrides` what the arm lays over how that is served.
    """

    name: str
    target: str
    physical: str
    instances: Mapping[str, int]
    primary: bool = False
    steps: tuple[Served, ...] = ()
    visits: float | None = 1.0
    setting: Setting = NO_SETTING
    version: tuple[str, int] | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StepReport:
    """A step of a pipeline: the model that runs it, and where its time goes."""

    step: str
    target: str
    physical: str
    model: ModelFigures | None
    time: tuple[Part, ...]


@dataclass(frozen=True)
class ArmReport:
    """An arm. `share` is of the endpoint's attempts [0 to 1]; `shared` says that its model was also
    asked by others, whose requests are in the model's figures. One that no policy names any more
    has no name."""

    name: str
    target: str
    physical: str
    primary: bool
    share: float | None
    shared: bool
    figures: RequestFigures
    model: ModelFigures | None
    time: tuple[Part, ...]
    steps: tuple[StepReport, ...]


@dataclass(frozen=True)
class Network:
    """What a perf run measured between its client and the server, at the level nearest in rate."""

    us: float
    perf_run: int
    level: str


@dataclass(frozen=True)
class EndpointReport:
    """An endpoint over a span, of which `measured_seconds` were measured."""

    endpoint: str
    since: datetime
    until: datetime
    measured_seconds: float
    figures: RequestFigures
    time: tuple[Part, ...]
    network: Network | None
    arms: tuple[ArmReport, ...]


def report(
    endpoint: str, counted: Counted, served: Sequence[Served], network: Network | None = None
) -> EndpointReport:
    """The figures of everything that serves, and of arms that did within the span."""
    known = {one.physical for one in served}
    gone = [Served("", "", arm, {}) for arm in counted.arms if arm not in known]
    arms = tuple(_arm(endpoint, counted, one, network) for one in (*served, *gone))
    return EndpointReport(
        endpoint=endpoint,
        since=counted.since,
        until=counted.until,
        measured_seconds=counted.seconds,
        figures=_figures(counted.whole, counted.seconds),
        time=_mean_time(arms),
        network=network,
        arms=arms,
    )


def working(
    model: ModelCounts, instances: Mapping[str, int], seconds: Mapping[str, float]
) -> ModelCounts:
    """The counts, with how long these instances could have worked."""
    could = sum(count * seconds.get(server, 0.0) for server, count in instances.items())
    return replace(model, instance_seconds=could or None)


def _arm(endpoint: str, counted: Counted, served: Served, network: Network | None) -> ArmReport:
    arm = counted.arms.get(served.physical, ArmCounts())
    model = counted.models.get(served.physical)
    total = sum(one.requests for one in counted.arms.values())
    asked = model.requests_ok + model.requests_failed if model else 0
    work = [
        StepWork(counted.models[step.physical], _visits(step, counted.models, model))
        for step in served.steps
        if step.physical in counted.models
    ]
    return ArmReport(
        name=served.name,
        target=served.target,
        physical=served.physical,
        primary=served.primary,
        share=arm.requests / total if total else None,
        shared=asked > max(1, arm.requests) * SHARED,
        figures=_figures(arm, counted.seconds),
        model=_model(counted, served),
        time=arm_parts(
            arm, counted.models.get(endpoint), model, work, network.us if network else None
        ),
        steps=tuple(_step(counted, step) for step in served.steps),
    )


def _visits(step: Served, models: Mapping[str, ModelCounts], whole: ModelCounts | None) -> float:
    if step.visits is not None:
        return step.visits
    asked = models[step.physical].requests_ok
    return min(1.0, asked / whole.requests_ok) if whole and whole.requests_ok else 1.0


def _step(counted: Counted, step: Served) -> StepReport:
    model = counted.models.get(step.physical)
    time = model_parts(model) if model else ()
    return StepReport(step.name, step.target, step.physical, _model(counted, step), time)


def _figures(arm: ArmCounts, seconds: float) -> RequestFigures:
    p50, p95, p99 = (figures.latency_us(arm, q) for q in (0.5, 0.95, 0.99))
    first = [figures.first_response_us(arm, q) for q in (0.5, 0.95, 0.99)]
    return RequestFigures(
        requests=arm.requests,
        rps=figures.rate(arm, seconds),
        success_rps=figures.success_rate(arm, seconds),
        failed_share=figures.failed_share(arm),
        p50_us=p50,
        p95_us=p95,
        p99_us=p99,
        first_p50_us=first[0],
        first_p95_us=first[1],
        first_p99_us=first[2],
        peak_rps=figures.sustained_peak(arm),
        degradation=figures.degradation(arm),
    )


def _model(counted: Counted, served: Served) -> ModelFigures | None:
    model = counted.models.get(served.physical)
    if model is None:
        return None
    model = working(model, served.instances, counted.servers)
    return ModelFigures(
        requests=model.requests_ok + model.requests_failed,
        rps=figures.model_rate(model, counted.seconds),
        queue_us=figures.queue_us(model),
        processing_us=figures.processing_us(model),
        queue_share=figures.queue_share(model),
        batch_rows=figures.batch_rows(model),
        batch_requests=figures.batch_requests(model),
        utilisation=figures.utilisation(model),
        cache_hit_share=figures.cache_hit_share(model),
        pending=model.pending,
        instances=sum(served.instances.values()),
    )


def _mean_time(arms: Sequence[ArmReport]) -> tuple[Part, ...]:
    """Of all arms, each by its requests."""
    told = [arm for arm in arms if arm.time and arm.figures.requests]
    total = sum(arm.figures.requests for arm in told)
    sums: dict[str, float] = {}
    for arm in told:
        for part in arm.time:
            sums[part.name] = sums.get(part.name, 0.0) + part.us * arm.figures.requests
    return tuple(Part(name, us / total) for name, us in sums.items())

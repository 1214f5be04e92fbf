"""The figures of an endpoint: what serves, joined with what was measured of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from control_plane.domain.kpis.opportunities import Opportunity, Servers
from control_plane.domain.kpis.report import EndpointReport, Network, Served, report
from control_plane.domain.kpis.setting import NO_SETTING, Setting, instances_of, setting_of
from control_plane.domain.kpis.span import Span
from control_plane.domain.kpis.spots import findings
from control_plane.domain.pipelines.patterns import PipelineKind
from control_plane.domain.planning.model_config import ACCELERATORS
from control_plane.domain.planning.pattern_config import handed_on
from control_plane.domain.planning.plan import ModelDirectory, Plan, PlannedArm, PlannedStep
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.selectors import get_endpoint, serving_plan
from control_plane.endpoints.serving_findings import hardware
from control_plane.fleet.models import Server
from control_plane.telemetry.store import TelemetryStore

NetworkOf = Callable[[str, float | None], Network | None]
"""(endpoint, requests per second) -> what a perf run measured of the network nearest to it."""


@dataclass(frozen=True)
class EndpointKpis:
    """The figures of an endpoint, and what would help it, the highest ROI first."""

    report: EndpointReport
    findings: tuple[Opportunity, ...]


def endpoint_kpis(
    *, name: str, span: Span, store: TelemetryStore, network_of: NetworkOf
) -> EndpointKpis:
    """The figures of an endpoint over a span, with what would help it.

    Raises:
        NotFoundError: there is no such endpoint.
    """
    served = what_serves(get_endpoint(name))
    models = {one.physical for arm in served for one in (arm, *arm.steps)}
    counted = store.counted(name, models, span.since, span.until)
    rps = counted.whole.requests / counted.seconds if counted.seconds else None
    found = report(name, counted, served, network_of(name, rps))
    servers = hardware()
    worth = findings(found, served, Servers(servers.cores, servers.response_cache))
    return EndpointKpis(found, tuple(worth))


def what_serves(endpoint: Endpoint) -> list[Served]:
    """The arms of the plan that serves, with their instances on the servers that have it."""
    plan = serving_plan(endpoint)
    if plan is None:
        return []
    servers = [
        placement.server
        for placement in endpoint.placements.filter(switched__gt=0).select_related("server")
    ]
    return [_served(plan, planned, servers) for planned in plan.arms]


def _served(plan: Plan, planned: PlannedArm, servers: Sequence[Server]) -> Served:
    arm = planned.arm
    directories = {model.name: model for model in plan.models}
    return Served(
        name=arm.name,
        target=f"{arm.model}:{arm.version}",
        physical=planned.physical,
        instances=_instances(directories.get(planned.physical), servers),
        primary=arm.primary,
        setting=_setting(directories.get(planned.physical)),
        version=None if arm.pipeline else arm.key,
        overrides=arm.overrides or {},
        steps=tuple(
            Served(
                name=step.step,
                target=f"{step.model}:{step.version}",
                physical=step.physical,
                instances=_instances(directories.get(step.physical), servers),
                visits=_visits(step, directories.get(planned.physical)),
                setting=_setting(directories.get(step.physical)),
                version=None if step.pipeline else (step.model, step.version),
            )
            for step in plan.pipelines.get(planned.physical, ())
        ),
    )


def _visits(step: PlannedStep, whole: ModelDirectory | None) -> float | None:
    """How often a request of the pipeline asks a step: once where all of its steps are asked.

    A pipeline within is none of its own: what it runs follows, and is told.
    """
    if step.pipeline:
        return 0.0
    config = whole.variants[ACCELERATORS[0]] if whole else {}
    some = config.get("backend") == PipelineKind.CASCADE.value
    return None if some or step.physical not in handed_on(config) else 1.0


def _instances(directory: ModelDirectory | None, servers: Sequence[Server]) -> dict[str, int]:
    """Server -> how many work at once there, as planned."""
    if directory is None:
        return {}
    found = {}
    for server in servers:
        variant = directory.variant_on(server.accelerator, server.hardware)
        if count := instances_of(directory.variants[variant]):
            found[str(server.id)] = count
    return found


def _setting(directory: ModelDirectory | None) -> Setting:
    return setting_of(directory.variants[ACCELERATORS[0]]) if directory else NO_SETTING

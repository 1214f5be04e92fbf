"""What the steps of a pipeline's revision were measured to do where it serves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from control_plane.domain.pipelines.patterns import PipelineKind
from control_plane.domain.pipelines.performance import (
    StepCounts,
    SystemFigures,
    pattern_figures,
    system_figures,
)
from control_plane.domain.planning.model_config import ACCELERATORS
from control_plane.domain.planning.plan import Plan
from control_plane.endpoints.models import RevisionPipeline
from control_plane.registry.pipelines import KnownPipeline

Totals = Callable[[Collection[str], datetime], Mapping[str, Mapping[str, int]]]
"""Counters of physical models, of those that were sampled since then."""


def pipeline_figures(known: KnownPipeline, totals: Totals, since: datetime) -> SystemFigures:
    """The figures of a revision, by the physical models of its newest plan.

    A step's model may serve by itself or in other pipelines as well: what it was asked there
    counts with it, for it is the same model that works.
    """
    uses = RevisionPipeline.objects.filter(pipeline=known.revision).select_related("revision")
    use = uses.order_by("-revision__created_at").first()
    plan = use.revision.compiled if use else None
    if use is None or plan is None:
        return system_figures(known.steps, {})
    physical = {step.step: step.physical for step in plan.pipelines.get(use.physical, ())}
    found = totals([*physical.values(), use.physical], since)
    counts = {
        step: _counts(found[model], _instances(plan, model))
        for step, model in physical.items()
        if model in found
    }
    if known.document.kind == PipelineKind.ENSEMBLE:
        return system_figures(known.steps, counts)
    own = found.get(use.physical)
    whole = _counts(own, _instances(plan, use.physical)) if own else None
    return pattern_figures(known.steps, counts, whole)


def _counts(row: Mapping[str, int], instances: int) -> StepCounts:
    return StepCounts(
        succeeded=row["requests_ok"],
        failed=row["requests_failed"],
        rows=row["inferences"],
        executions=row["executions"],
        request_us=row["request_us"],
        compute_us=row["compute_us"],
        instances=instances,
    )


def _instances(plan: Plan, model: str) -> int:
    """How many work at once on one server, as planned; one where the plan leaves it open."""
    directory = next(one for one in plan.models if one.name == model)
    groups = directory.variants[ACCELERATORS[0]].get("instance_group", ())
    return max(1, sum(int(group.get("count", 1)) for group in groups))

"""Registering revisions: immutable, and holding on to every version they use."""

from __future__ import annotations

from django.db.models import Max

from control_plane.domain.planning.changes import unified_diff
from control_plane.domain.planning.plan import Plan
from control_plane.domain.violations import InvalidInputError, Violation
from control_plane.endpoints.models import Endpoint, Revision, RevisionPipeline, RevisionVersion
from control_plane.endpoints.selectors import serving_plan
from control_plane.ports.config_printer import ConfigPrinter
from control_plane.registry.models import ModelVersion, VersionState
from control_plane.registry.pipelines import pipeline_revisions
from control_plane.registry.selectors import ready_versions


def register(
    endpoint: Endpoint,
    plan: Plan,
    print_config: ConfigPrinter,
    *,
    restores: int | None = None,
    reason: str = "",
    approved_by: str = "",
    passing: bool = False,
) -> Revision:
    """Registers the plan of the endpoint's present generation; call it in a transaction.

    Raises:
        InvalidInputError: a version went away since the plan was compiled.
    """
    revision = Revision.objects.create(
        endpoint=endpoint,
        number=_next_number(endpoint),
        generation=plan.generation,
        policy=endpoint.policy,
        plan=plan.to_document(),
        digest=plan.digest,
        diff=unified_diff(serving_plan(endpoint), plan, print_config),
        created_by=endpoint.changed_by,
        restores=restores,
        reason=reason,
        approved_by=approved_by,
        passing=passing,
    )
    _pin_versions(revision, plan)
    return revision


def register_failure(endpoint: Endpoint, error: str) -> Revision:
    """Registers that the present generation cannot be compiled, and why."""
    return Revision.objects.create(
        endpoint=endpoint,
        number=_next_number(endpoint),
        generation=endpoint.generation,
        policy=endpoint.policy,
        error=error,
        created_by=endpoint.changed_by,
    )


def _next_number(endpoint: Endpoint) -> int:
    last: int = endpoint.revisions.aggregate(last=Max("number"))["last"] or 0
    return last + 1


def _pin_versions(revision: Revision, plan: Plan) -> None:
    """From here on the database protects every version and pipeline that the revision uses."""
    versions = ready_versions(plan.versions)
    # Locked, so that none is deleted or archived between this look and the commit.
    ids = [version.id for version in versions.values()]
    # The state is asked again with the lock: one that was archived meanwhile is not ready.
    rows = ModelVersion.objects.select_for_update().filter(id__in=ids, state=VersionState.READY)
    locked = set(rows.values_list("id", flat=True))
    for (model, number), physical in plan.versions.items():
        version = versions.get((model, number))
        if version is None or version.id not in locked:
            detail = f"{model} version {number} was deleted or archived just now"
            where = _arm_that_uses(plan, physical)
            raise InvalidInputError([Violation(where, "not_found", detail)])
    RevisionVersion.objects.bulk_create(
        RevisionVersion(revision=revision, version=versions[key], physical=physical)
        for key, physical in plan.versions.items()
    )
    _pin_pipelines(revision, plan)


def _pin_pipelines(revision: Revision, plan: Plan) -> None:
    arms = {i: planned for i, planned in enumerate(plan.arms) if planned.arm.pipeline}
    found = pipeline_revisions((planned.arm.key for planned in arms.values()), lock=True)
    for i, planned in arms.items():
        if planned.arm.key not in found:
            detail = f"{planned.arm} was deleted just now"
            raise InvalidInputError([Violation(f"/arms/{i}/revision", "not_found", detail)])
    RevisionPipeline.objects.bulk_create(
        RevisionPipeline(
            revision=revision, pipeline=found[planned.arm.key], physical=planned.physical
        )
        for planned in arms.values()
    )


def _arm_that_uses(plan: Plan, physical: str) -> str:
    for i, planned in enumerate(plan.arms):
        steps = plan.pipelines.get(planned.physical, ())
        if planned.physical == physical or physical in {step.physical for step in steps}:
            return f"/arms/{i}/{planned.arm.number_field}"
    return "/arms"

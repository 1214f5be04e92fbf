"""Registering revisions: immutable, and holding on to every version they use."""

from __future__ import annotations

from django.db.models import Max

from control_plane.domain.planning.changes import unified_diff
from control_plane.domain.planning.plan import Plan
from control_plane.domain.violations import InvalidInputError, Violation
from control_plane.endpoints.models import Endpoint, Revision, RevisionVersion
from control_plane.endpoints.selectors import serving_plan
from control_plane.ports.config_printer import ConfigPrinter
from control_plane.registry.models import ModelVersion, VersionState
from control_plane.registry.selectors import ready_versions


def register(
    endpoint: Endpoint,
    plan: Plan,
    print_config: ConfigPrinter,
    *,
    restores: int | None = None,
    reason: str = "",
    approved_by: str = "",
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
    """From here on the database protects every version that the revision uses."""
    versions = ready_versions((p.arm.model, p.arm.version) for p in plan.arms)
    # Locked, so that none is deleted or archived between this look and the commit.
    ids = [version.id for version in versions.values()]
    # The state is asked again with the lock: one that was archived meanwhile is not ready.
    rows = ModelVersion.objects.select_for_update().filter(id__in=ids, state=VersionState.READY)
    locked = set(rows.values_list("id", flat=True))
    for i, planned in enumerate(plan.arms):
        version = versions.get((planned.arm.model, planned.arm.version))
        if version is None or version.id not in locked:
            name = f"{planned.arm.model} version {planned.arm.version}"
            detail = f"{name} was deleted or archived just now"
            raise InvalidInputError([Violation(f"/arms/{i}/version", "not_found", detail)])
    RevisionVersion.objects.bulk_create(
        RevisionVersion(
            revision=revision,
            version=versions[planned.arm.model, planned.arm.version],
            physical=planned.physical,
        )
        for planned in plan.arms
    )

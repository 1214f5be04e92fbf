"""Validating uploads."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from control_plane import wiring
from control_plane.registry.validation import sweep_validations, validate_version


@shared_task(name="registry.validate")
def validate(*, version_id: str) -> None:
    """Says `ready` or `rejected` of one uploaded version."""
    validate_version(
        version_id=UUID(version_id),
        store=wiring.artifact_store(),
        inspector=wiring.inspector(),
        clock=wiring.clock(),
    )


@shared_task(name="registry.sweep")
def sweep() -> None:
    """Finds the versions whose validation was lost."""
    sweep_validations(clock=wiring.clock(), queue=wiring.queue())

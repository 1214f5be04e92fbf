"""Validating uploads."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery import shared_task
from celery.signals import worker_ready
from django.conf import settings

from control_plane import wiring
from control_plane.adapters.queue import VALIDATION_QUEUE
from control_plane.registry.collection import collect_artifacts
from control_plane.registry.fetching import fetch_version, release_fetches, sweep_fetches
from control_plane.registry.uploads import sweep_uploads
from control_plane.registry.validation import (
    release_claims,
    sweep_validations,
    validate_version,
)


@worker_ready.connect
def take_up_what_was_left(sender: Any, **_: Any) -> None:
    """A validation worker begins with what its killed predecessor was at."""
    if VALIDATION_QUEUE in sender.app.amqp.queues.consume_from:
        release_claims(queue=wiring.queue())
        release_fetches(queue=wiring.queue())


@shared_task(name="registry.validate")
def validate(*, version_id: str) -> None:
    """Says `ready` or `rejected` of one uploaded version."""
    validate_version(
        version_id=UUID(version_id),
        store=wiring.artifact_store(),
        inspector=wiring.inspector(),
        clock=wiring.clock(),
    )


@shared_task(name="registry.fetch")
def fetch(*, version_id: str) -> None:
    """Fetches one version's file from its source."""
    fetch_version(
        version_id=UUID(version_id),
        sources=wiring.sources(),
        store=wiring.artifact_store(),
        inspector=wiring.inspector(),
        clock=wiring.clock(),
        queue=wiring.queue(),
        max_bytes=settings.NEREID_MAX_UPLOAD_BYTES,
    )


@shared_task(name="registry.sweep")
def sweep() -> None:
    """Finds the versions whose validation was lost."""
    sweep_validations(clock=wiring.clock(), queue=wiring.queue())
    sweep_fetches(clock=wiring.clock(), queue=wiring.queue())


@shared_task(name="registry.collect")
def collect() -> None:
    """Drops files that no version refers to, and uploads that nobody finished."""
    sweep_uploads(files=wiring.partial_files(), clock=wiring.clock())
    collect_artifacts(store=wiring.artifact_store(), clock=wiring.clock())

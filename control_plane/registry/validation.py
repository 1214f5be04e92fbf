"""Validating uploads: the runtime's word on whether a version can serve."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet

from control_plane.adapters.inspection import TIMEOUT_S
from control_plane.audit.services import record
from control_plane.domain.registry.frameworks import REMOTE, SERVER_ONLY
from control_plane.domain.serving.details import Details
from control_plane.domain.signature import Signature
from control_plane.ports.clock import Clock
from control_plane.ports.inspection import (
    InspectionFailedError,
    InvalidModelError,
    ModelInspector,
)
from control_plane.ports.queue import Queue
from control_plane.ports.repository import (
    ArtifactDamagedError,
    ArtifactStore,
    ArtifactStoreFailedError,
)
from control_plane.registry.contents import golden_examples, placed_files
from control_plane.registry.models import ModelVersion, VersionState
from control_plane.registry.selectors import effective_profile

VALIDATION_PATIENCE = timedelta(seconds=30)
"""A validation that nobody took on for this long is asked for again."""

CLAIM_EXPIRY = timedelta(seconds=TIMEOUT_S + 30)
"""An inspection ends before this: a claim that is older belongs to a dead worker."""

MAX_ATTEMPTS = 3


def validate_version(
    *, version_id: UUID, store: ArtifactStore, inspector: ModelInspector, clock: Clock
) -> ModelVersion:
    """Loads the artifact in its runtime and says `ready` or `rejected`; safe to repeat.

    One worker at a time: a version that is being validated is left alone. An inspection that
    comes to no end says nothing about the model, and is tried again by the sweep.
    """
    claimed = _unclaimed(clock.now()).filter(id=version_id)
    taken = claimed.update(
        validating_since=clock.now(), validation_attempts=F("validation_attempts") + 1
    )
    version = ModelVersion.objects.select_related("model").get(id=version_id)
    if not taken:
        return version
    try:
        unlimited = inspector.check_loads(
            placed_files(version, store),
            version.framework,
            Signature.from_document(version.signature or {"inputs": [], "outputs": []}),
            _examples(version, store),
            Details.model_validate(version.model_config),
        )
        without = f"checked without {' and '.join(unlimited)}" if unlimited else ""
        if version.framework in SERVER_ONLY:
            backend = version.model_config.get("backend") or version.framework
            without = f"looked at, and not run: only a server with {backend} can do that"
        elif version.framework == REMOTE:
            without = f"asked for what it takes and gives, and no more: {version.source} answers"
        _conclude(version, VersionState.READY, without)
    except InvalidModelError as error:
        _conclude(version, VersionState.REJECTED, str(error))
    except ArtifactStoreFailedError as error:
        _not_attempted(version, str(error))
    except (InspectionFailedError, ArtifactDamagedError, LookupError, OSError) as error:
        _failed(version, str(error))
    version.refresh_from_db()
    return version


def _examples(version: ModelVersion, store: ArtifactStore) -> tuple[Mapping[str, Any], ...]:
    """The golden examples that are asked here.

    None of a model whose requests form sequences: what the batcher fills and keeps is there on a
    server alone, and each one asks them before it serves.
    """
    profile = effective_profile(version)
    return () if profile and profile.sequence_batching else golden_examples(version, store)


def sweep_validations(*, clock: Clock, queue: Queue) -> int:
    """Asks again for validations that nobody is at; returns how many."""
    now = clock.now()
    waiting = _unclaimed(now).filter(created_at__lt=now - VALIDATION_PATIENCE)
    ids = list(waiting.values_list("id", flat=True))
    for version_id in ids:
        queue.validate(version_id=version_id)
    return len(ids)


def release_claims(*, queue: Queue) -> int:
    """Asks again for every validation under way; for a worker's start. Returns how many.

    A worker that was killed left its claims behind, and an upload would wait minutes for them
    to expire. A claim that belongs to a worker elsewhere is lost to it: its outcome no longer
    counts, and the version is validated once more.
    """
    claimed = ModelVersion.objects.filter(
        state=VersionState.VALIDATING, validating_since__isnull=False
    )
    ids = list(claimed.values_list("id", flat=True))
    claimed.filter(id__in=ids).update(validating_since=None)
    for version_id in ids:
        queue.validate(version_id=version_id)
    return len(ids)


def _unclaimed(now: datetime) -> QuerySet[ModelVersion]:
    free = Q(validating_since=None) | Q(validating_since__lt=now - CLAIM_EXPIRY)
    return ModelVersion.objects.filter(free, state=VersionState.VALIDATING)


def _failed(version: ModelVersion, problem: str) -> None:
    attempts = version.validation_attempts
    if attempts >= MAX_ATTEMPTS:
        reason = f"it could not be checked in {attempts} attempts, the last of which: {problem}"
        _conclude(version, VersionState.REJECTED, reason)
        return
    _claimed(version).update(
        validating_since=None,
        state_reason=f"attempt {attempts} of {MAX_ATTEMPTS} to check it came to nothing: "
        f"{problem}; it is tried again",
    )


def _not_attempted(version: ModelVersion, problem: str) -> None:
    """A store that is away says nothing of the version, however long it is."""
    _claimed(version).update(
        validating_since=None,
        validation_attempts=F("validation_attempts") - 1,
        state_reason=f"it waits for its files: {problem}",
    )


def _conclude(version: ModelVersion, state: VersionState, reason: str) -> None:
    with transaction.atomic():
        changed = _claimed(version).update(state=state, state_reason=reason, validating_since=None)
        if changed:
            record(
                actor="nereid",
                action=f"version.{state}",
                object_type="version",
                object_id=version.id,
                object_name=f"{version.model.name}:{version.number}",
                reason=reason,
            )


def _claimed(version: ModelVersion) -> QuerySet[ModelVersion]:
    """The row while the claim is ours: one that was lost meanwhile is somebody else's to end."""
    return ModelVersion.objects.filter(
        id=version.id,
        state=VersionState.VALIDATING,
        validating_since=version.validating_since,
    )

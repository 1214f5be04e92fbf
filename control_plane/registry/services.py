"""Changing the registry: each function writes intent and audit in one transaction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any, BinaryIO
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max, ProtectedError

from control_plane.adapters.profiles import DEFAULT_PROFILE, profile_names
from control_plane.audit.services import record
from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.violations import ConflictError, InvalidInputError, Violation
from control_plane.ports.clock import Clock
from control_plane.ports.inspection import InvalidModelError, ModelInspector
from control_plane.ports.queue import Queue
from control_plane.ports.repository import ArtifactStore, DigestMismatchError
from control_plane.registry.models import Artifact, Model, ModelVersion, VersionState
from control_plane.registry.selectors import get_model

FRAMEWORKS = ("onnx",)

VALIDATION_PATIENCE = timedelta(seconds=30)
"""A validation older than this counts as lost, and is asked for again."""

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class VersionMetadata:
    """What an uploader says of a version; `number` None takes the next one."""

    framework: str = "onnx"
    number: int | None = None
    sha256: str | None = None
    profile: str = DEFAULT_PROFILE
    metrics: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


def create_model(
    *,
    name: str,
    actor: str,
    description: str = "",
    owner: str = "",
    tags: Mapping[str, str] | None = None,
) -> Model:
    """Adds a model.

    Raises:
        InvalidInputError: the name breaks the rule for names.
        ConflictError: there is a model of that name.
    """
    if not is_public_name(name):
        raise InvalidInputError(
            [Violation("/name", "invalid_name", f"{name!r}: a name has {PUBLIC_NAME_RULE}")]
        )
    try:
        with transaction.atomic():
            model = Model.objects.create(
                name=name,
                description=description,
                owner=owner or actor,
                tags=dict(tags or {}),
                created_by=actor,
            )
            record(
                actor=actor,
                action="model.create",
                object_type="model",
                object_id=model.id,
                object_name=name,
                after={"description": description, "owner": model.owner, "tags": model.tags},
            )
    except IntegrityError:
        raise ConflictError(f"there is a model named {name!r} already") from None
    return model


def update_model(*, name: str, actor: str, changes: Mapping[str, Any]) -> Model:
    """Changes description, owner or tags."""
    with transaction.atomic():
        model = Model.objects.select_for_update().get(id=get_model(name).id)
        before = {key: getattr(model, key) for key in changes}
        for key, value in changes.items():
            setattr(model, key, value)
        model.save(update_fields=list(changes))
        record(
            actor=actor,
            action="model.update",
            object_type="model",
            object_id=model.id,
            object_name=name,
            before=before,
            after=dict(changes),
        )
    return model


def delete_model(*, name: str, actor: str) -> None:
    """Removes a model that has no versions.

    Raises:
        ConflictError: it has versions.
    """
    model = get_model(name)
    try:
        with transaction.atomic():
            record(
                actor=actor,
                action="model.delete",
                object_type="model",
                object_id=model.id,
                object_name=name,
            )
            model.delete()
    except ProtectedError:
        count = model.versions.count()
        raise ConflictError(
            f"model {name!r} has {count} version{'s' if count != 1 else ''}; delete those first"
        ) from None


def add_version(
    *,
    model_name: str,
    stream: BinaryIO,
    filename: str,
    metadata: VersionMetadata,
    actor: str,
    store: ArtifactStore,
    inspector: ModelInspector,
    queue: Queue,
) -> ModelVersion:
    """Stores an artifact, reads its signature, and adds the version in state `validating`.

    Raises:
        NotFoundError: there is no such model.
        InvalidInputError: the metadata or the file is not usable; no version is added.
        ConflictError: the number is taken.
    """
    model = get_model(model_name)
    _check_metadata(metadata)
    try:
        sha256, size = store.add(stream, metadata.sha256)
    except DigestMismatchError as error:
        raise InvalidInputError([Violation("/sha256", "mismatch", str(error))]) from error
    try:
        signature = inspector.signature(store.path(sha256), metadata.framework)
    except InvalidModelError as error:
        if not Artifact.objects.filter(sha256=sha256).exists():
            store.discard(sha256)
        raise InvalidInputError([Violation("/artifact", "invalid_model", str(error))]) from error
    with transaction.atomic():
        # Uploads of one model take their numbers one after the other.
        Model.objects.select_for_update().get(id=model.id)
        number = _number(model, metadata.number)
        Artifact.objects.get_or_create(sha256=sha256, defaults={"size": size})
        version = ModelVersion.objects.create(
            model=model,
            number=number,
            framework=metadata.framework,
            artifact_id=sha256,
            filename=PurePosixPath(filename).name[:255] or "model.onnx",
            profile=metadata.profile,
            signature=signature.to_document(),
            metrics=dict(metadata.metrics),
            provenance=dict(metadata.provenance),
            created_by=actor,
        )
        record(
            actor=actor,
            action="version.create",
            object_type="version",
            object_id=version.id,
            object_name=f"{model.name}:{number}",
            after={"sha256": sha256, "framework": metadata.framework, "profile": metadata.profile},
        )
        transaction.on_commit(lambda: queue.validate(version_id=version.id))
    return version


def validate_version(
    *, version_id: UUID, store: ArtifactStore, inspector: ModelInspector
) -> ModelVersion:
    """Loads the artifact in its runtime and says `ready` or `rejected`; safe to repeat."""
    version = ModelVersion.objects.select_related("model").get(id=version_id)
    if version.state != VersionState.VALIDATING:
        return version
    try:
        inspector.check_loads(store.path(version.artifact_id), version.framework)
        state, reason = VersionState.READY, ""
    except (InvalidModelError, LookupError) as error:
        state, reason = VersionState.REJECTED, str(error)
    with transaction.atomic():
        changed = ModelVersion.objects.filter(id=version_id, state=VersionState.VALIDATING).update(
            state=state, state_reason=reason
        )
        if changed:
            record(
                actor="nereid",
                action=f"version.{state}",
                object_type="version",
                object_id=version.id,
                object_name=f"{version.model.name}:{version.number}",
                reason=reason,
            )
    version.refresh_from_db()
    return version


def sweep_validations(*, clock: Clock, queue: Queue) -> int:
    """Asks again for validations that nobody finished; returns how many."""
    lost = ModelVersion.objects.filter(
        state=VersionState.VALIDATING, created_at__lt=clock.now() - VALIDATION_PATIENCE
    )
    ids = list(lost.values_list("id", flat=True))
    for version_id in ids:
        queue.validate(version_id=version_id)
    return len(ids)


def delete_version(*, version: ModelVersion, actor: str) -> None:
    """Removes a version that no revision uses.

    Raises:
        ConflictError: a revision uses it; the message says which.
    """
    name = f"{version.model.name}:{version.number}"
    try:
        with transaction.atomic():
            record(
                actor=actor,
                action="version.delete",
                object_type="version",
                object_id=version.id,
                object_name=name,
                before={"sha256": version.artifact_id},
            )
            version.delete()
    except ProtectedError as error:
        # The rows that use it belong to rooms above this one; they name themselves.
        uses = sorted({str(use) for use in error.protected_objects})
        raise ConflictError(f"{name} is used by {', '.join(uses)}") from None


def _check_metadata(metadata: VersionMetadata) -> None:
    found = []
    if metadata.framework not in FRAMEWORKS:
        detail = f"{metadata.framework!r}: this server serves {', '.join(FRAMEWORKS)}"
        found.append(Violation("/framework", "unsupported", detail))
    if metadata.profile not in profile_names():
        detail = f"{metadata.profile!r}: the profiles are {', '.join(profile_names())}"
        found.append(Violation("/profile", "not_found", detail))
    if metadata.number is not None and not 1 <= metadata.number < 1_000_000_000:
        found.append(Violation("/version", "range", "a version is a number from 1 to 999999999"))
    if metadata.sha256 is not None and not _SHA256.fullmatch(metadata.sha256):
        found.append(Violation("/sha256", "invalid", "a sha256 has 64 hex digits"))
    if found:
        raise InvalidInputError(found)


def _number(model: Model, wanted: int | None) -> int:
    highest: int = model.versions.aggregate(highest=Max("number"))["highest"] or 0
    if wanted is None:
        return highest + 1
    if model.versions.filter(number=wanted).exists():
        raise ConflictError(f"model {model.name!r} has a version {wanted} already")
    return wanted

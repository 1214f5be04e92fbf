"""Changing the registry: each function writes intent and audit in one transaction."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from django.db import IntegrityError, transaction
from django.db.models import Max, ProtectedError

from control_plane.adapters.profiles import DEFAULT_PROFILE
from control_plane.audit.services import record
from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.registry.frameworks import FRAMEWORKS, REMOTE, UPLOADED, always_code
from control_plane.domain.registry.metrics import check_metrics
from control_plane.domain.registry.provenance import check_provenance
from control_plane.domain.registry.service_level import merged_service_level
from control_plane.domain.routing.policy import MAX_VERSION
from control_plane.domain.serving.overriding import overridden
from control_plane.domain.signature import Signature
from control_plane.domain.stored_json import (
    check_storable,
    check_tags,
    check_text,
    merged_tags,
)
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    Violation,
)
from control_plane.ports.inspection import ModelInspector
from control_plane.ports.queue import Queue
from control_plane.ports.repository import ArtifactStore
from control_plane.registry.artifacts import intake
from control_plane.registry.contents import Content, code_refusal, take_in
from control_plane.registry.model_config import read_model_config
from control_plane.registry.models import Model, ModelVersion, Pipeline, VersionFile
from control_plane.registry.profiles import (
    hold_profile,
    no_such_profile,
    profile_names,
    usable_profile,
)
from control_plane.registry.selectors import get_model

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class VersionMetadata:
    """What an uploader says of a version; `number` None takes the next one.

    `signature` is for files that do not say what they take and give, `golden` examples of it,
    `model_config` what Triton's configuration has to say of it beside its serving profile.
    """

    framework: str = "onnx"
    number: int | None = None
    sha256: str | None = None
    profile: str = DEFAULT_PROFILE
    overrides: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    signature: Signature | None = None
    golden: Sequence[Any] = ()
    model_config: Mapping[str, Any] = field(default_factory=dict)


def create_model(
    *,
    name: str,
    actor: str,
    description: str = "",
    owner: str = "",
    tags: Mapping[str, str] | None = None,
    sla: Mapping[str, Any] | None = None,
) -> Model:
    """Adds a model.

    Raises:
        InvalidInputError: the name breaks the rule for names, or a value cannot be kept.
        ConflictError: there is a model or a pipeline of that name.
    """
    if not is_public_name(name):
        raise InvalidInputError(
            [Violation("/name", "invalid_name", f"{name!r}: a name has {PUBLIC_NAME_RULE}")]
        )
    check_texts({"description": description, "owner": owner, "tags": tags or {}})
    model = Model(
        name=name,
        description=description,
        owner=owner or actor,
        tags=dict(tags or {}),
        created_by=actor,
    )
    model.sla = merged_service_level({}, sla)
    said = ("description", "owner", "tags", "sla")
    try:
        with transaction.atomic():
            model.save(force_insert=True)
            record(
                actor=actor,
                action="model.create",
                object_type="model",
                object_id=model.id,
                object_name=name,
                after={field: getattr(model, field) for field in said},
            )
    except IntegrityError:
        kind = "pipeline" if Pipeline.objects.filter(name=name).exists() else "model"
        raise ConflictError(f"there is a {kind} named {name!r} already") from None
    return model


def update_model(*, name: str, actor: str, changes: Mapping[str, Any]) -> Model:
    """Changes description, owner, tags or service level (`sla`).

    Tags and service level are merged: others stay, null removes. Where nothing differs nothing
    is written.

    Raises:
        NotFoundError: there is no such model.
        InvalidInputError: a value cannot be kept.
    """
    check_storable(dict(changes))
    with transaction.atomic():
        model = locked_model(name)
        wanted = dict(changes)
        if "tags" in changes:
            wanted["tags"] = merged_tags(model.tags, changes["tags"])
        if "sla" in changes:
            wanted["sla"] = merged_service_level(model.sla, changes["sla"])
        check_texts(wanted)
        after = {key: value for key, value in wanted.items() if value != getattr(model, key)}
        if not after:
            return model
        before = {key: getattr(model, key) for key in after}
        for key, value in after.items():
            setattr(model, key, value)
        model.save()
        record(
            actor=actor,
            action="model.update",
            object_type="model",
            object_id=model.id,
            object_name=name,
            before=before,
            after=after,
        )
    return model


def delete_model(*, name: str, actor: str) -> None:
    """Removes a model that has no versions.

    Raises:
        NotFoundError: there is no such model.
        ConflictError: it has versions.
    """
    try:
        with transaction.atomic():
            model = locked_model(name)
            record(
                actor=actor,
                action="model.delete",
                object_type="model",
                object_id=model.id,
                object_name=name,
                before={
                    "description": model.description,
                    "owner": model.owner,
                    "tags": model.tags,
                },
            )
            model.delete()
    except ProtectedError:
        raise ConflictError(why_model_kept(name)) from None


def why_model_kept(name: str) -> str:
    """Why a model cannot be deleted as things stand, in words; empty where it can."""
    count = ModelVersion.objects.filter(model__name=name).count()
    if not count:
        return ""
    return f"model {name!r} has {count} version{'s' if count != 1 else ''}; delete those first"


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
    may_publish_code: bool = False,
) -> ModelVersion:
    """Stores an artifact, reads its signature, and adds the version in state `validating`.

    Args:
        may_publish_code: whether the caller has the permission `registry.publish_code` there.

    Raises:
        NotFoundError: there is no such model.
        InvalidInputError: the metadata or the file is not usable; no version is added.
        NotAllowedError: it can carry code, and the caller may not publish that.
        ConflictError: the number is taken, or there is none after the highest.
    """
    model = get_model(model_name)
    check_metadata(metadata)
    if not may_publish_code and always_code(metadata.framework):
        raise code_refusal(f"models of the framework {metadata.framework}")
    with intake(store) as files:
        content = take_in(
            files, stream, metadata, inspector=inspector, may_publish_code=may_publish_code
        )
        with transaction.atomic():
            # Uploads of one model take their numbers one after the other.
            locked_model(model_name)
            number = next_number(model, metadata.number)
            hold_profile(metadata.profile)
            files.claim()
            version = create_version(model, number, content, filename, metadata, actor)
            # Robust: the version stands, and the sweep asks when the broker is back.
            transaction.on_commit(lambda: queue.validate(version_id=version.id), robust=True)
    return version


def create_version(
    model: Model,
    number: int,
    content: Content,
    filename: str,
    metadata: VersionMetadata,
    actor: str,
    *,
    source: str = "",
) -> ModelVersion:
    """The record with its files and its audit event; call it in a transaction."""
    version = ModelVersion.objects.create(
        model=model,
        number=number,
        framework=metadata.framework,
        artifact_id=content.sha256,
        filename=plain_filename(filename),
        source=source,
        profile=metadata.profile,
        overrides=dict(metadata.overrides),
        signature=content.signature.to_document(),
        code=list(content.code),
        parameters=dict(content.parameters),
        model_config=dict(content.model_config),
        description=metadata.description,
        tags=dict(metadata.tags),
        golden_id=content.golden_sha256,
        golden_shapes=list(content.golden_shapes),
        metrics=dict(metadata.metrics),
        provenance=dict(metadata.provenance),
        created_by=actor,
    )
    VersionFile.objects.bulk_create(
        VersionFile(version=version, path=path, artifact_id=sha256)
        for path, sha256 in content.files.items()
    )
    record_version(version, "version.create", actor, after=essence(version))
    return version


def record_version(
    version: ModelVersion,
    action: str,
    actor: str,
    *,
    before: Any = None,
    after: Any = None,
    reason: str = "",
) -> None:
    """The audit event of a deed on a version."""
    record(
        actor=actor,
        action=action,
        object_type="version",
        object_id=version.id,
        object_name=f"{version.model.name}:{version.number}",
        before=before,
        after=after,
        reason=reason,
    )


def essence(version: ModelVersion) -> dict[str, Any]:
    """What the audit record keeps of a version that comes or goes."""
    return {
        "sha256": version.artifact_id or "",
        "framework": version.framework,
        "profile": version.profile,
        **({"overrides": version.overrides} if version.overrides else {}),
    }


def plain_filename(filename: str) -> str:
    name = "".join(c for c in PurePosixPath(filename).name if c.isprintable())
    return name[:255] or "model.onnx"


def check_metadata(metadata: VersionMetadata, *, adopted: bool = False) -> None:
    """What can be said of a version before its file is looked at.

    Args:
        adopted: it has no file, and is what a process serves.

    Raises:
        InvalidInputError: with a violation for each field that cannot be.
    """
    found = []
    if metadata.framework == REMOTE and not adopted:
        detail = "what a process serves is adopted: name it as source, grpc://HOST:PORT/MODEL"
        found.append(Violation("/framework", "unsupported", detail))
    elif metadata.framework not in FRAMEWORKS:
        detail = f"{metadata.framework[:80]!r}: this server takes {', '.join(UPLOADED)}"
        found.append(Violation("/framework", "unsupported", detail))
    if metadata.profile not in profile_names():
        found.append(no_such_profile(metadata.profile))
    if metadata.number is not None and not 1 <= metadata.number <= MAX_VERSION:
        detail = f"a version is a number from 1 to {MAX_VERSION}"
        found.append(Violation("/version", "range", detail))
    if metadata.sha256 is not None and not _SHA256.fullmatch(metadata.sha256):
        found.append(Violation("/sha256", "invalid", "a sha256 has 64 hex digits"))
    if found:
        raise InvalidInputError(found)
    overridden(usable_profile(metadata.profile), metadata.overrides, "/overrides")
    read_model_config(metadata.model_config, metadata.framework)
    check_metrics(metadata.metrics)
    check_provenance(metadata.provenance)
    check_texts({"description": metadata.description, "tags": metadata.tags})


def next_number(model: Model, wanted: int | None) -> int:
    if wanted is None:
        highest: int = model.versions.aggregate(highest=Max("number"))["highest"] or 0
        if highest >= MAX_VERSION:
            raise ConflictError(
                f"model {model.name!r} has a version {highest}, and no number comes after it: "
                "name one that is free"
            )
        return highest + 1
    if model.versions.filter(number=wanted).exists():
        raise ConflictError(f"model {model.name!r} has a version {wanted} already")
    return wanted


def locked_model(name: str) -> Model:
    """The model of that name, which nobody else changes until the transaction ends.

    Raises:
        NotFoundError: there is none (any more).
    """
    model = Model.objects.select_for_update().filter(name=name).first()
    if model is None:
        raise NotFoundError(f"there is no model named {name!r}")
    return model


def check_texts(values: Mapping[str, Any]) -> None:
    """Refuses descriptions, owners and tags that cannot be kept.

    Raises:
        InvalidInputError: one is too long, or the database cannot hold it.
    """
    if "description" in values:
        check_text(values["description"], "/description")
    if "owner" in values:
        check_text(values["owner"], "/owner", limit=150)
    if "tags" in values:
        check_tags(values["tags"])

"""Versions whose file lies elsewhere: named at once, fetched by a worker."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet

from control_plane.domain.registry.frameworks import always_code
from control_plane.domain.signature import Signature
from control_plane.domain.stored_json import MAX_TEXT
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    Violation,
)
from control_plane.ports.clock import Clock
from control_plane.ports.inspection import ModelInspector, SandboxUnavailableError
from control_plane.ports.queue import Queue
from control_plane.ports.repository import ArtifactStore, ArtifactStoreFailedError
from control_plane.ports.sources import (
    Found,
    SourceFailedError,
    SourceRefusedError,
    Sources,
    Told,
)
from control_plane.registry.artifacts import intake
from control_plane.registry.contents import Content, code_refusal, take_in
from control_plane.registry.models import ModelVersion, VersionFile, VersionState
from control_plane.registry.profiles import hold_profile
from control_plane.registry.selectors import get_model
from control_plane.registry.services import (
    VersionMetadata,
    check_metadata,
    essence,
    locked_model,
    next_number,
    plain_filename,
    record_version,
)

PATIENCE = timedelta(seconds=30)
CLAIM_EXPIRY = timedelta(minutes=15)
"""Above the longest inspection: until then a fetch is its worker's."""

LONGEST_FETCH_S = 45 * 60.0
"""Below the broker's visibility timeout; a source that is slower says no better tomorrow."""

MAX_ATTEMPTS = 3
TELL_EVERY_S = 1.0
DEFAULT_MAX_BYTES = 20 << 30


def add_from_source(
    *,
    model_name: str,
    source: str,
    filename: str,
    metadata: VersionMetadata,
    actor: str,
    sources: Sources,
    queue: Queue,
    may_publish_code: bool = False,
    framework_given: bool = True,
) -> ModelVersion:
    """Adds the version in state `uploading`; a worker fetches its file.

    An alias in the source is settled now, once: what is kept has a number. Without
    `framework_given`, a source that says which framework it is of is believed.

    Raises:
        NotFoundError: there is no such model.
        InvalidInputError: the metadata is not usable, or nothing may be fetched from there.
        SourceFailedError: what an alias means cannot be found out now.
        NotAllowedError: it can carry code, and the caller may not publish that.
        ConflictError: the number is taken, or there is none after the highest.
    """
    model = get_model(model_name)
    check_metadata(metadata)
    if not may_publish_code and always_code(metadata.framework):
        raise code_refusal(f"models of the framework {metadata.framework}")
    try:
        settled = sources.settle(source)
    except SourceRefusedError as error:
        raise InvalidInputError([Violation("/source", "refused", str(error))]) from error
    told = settled.tells_framework and not framework_given
    with transaction.atomic():
        locked_model(model_name)
        hold_profile(metadata.profile)
        version = ModelVersion.objects.create(
            model=model,
            number=next_number(model, metadata.number),
            framework="" if told else metadata.framework,
            filename=plain_filename(filename or ("" if settled.tells_framework else source)),
            profile=metadata.profile,
            overrides=dict(metadata.overrides),
            state=VersionState.UPLOADING,
            state_reason="waiting for a worker to fetch it",
            source=settled.source,
            pending=_Pending.document(metadata, filename, may_publish_code),
            description=metadata.description,
            tags=dict(metadata.tags),
            metrics=dict(metadata.metrics),
            provenance={**settled.provenance, **metadata.provenance},
            created_by=actor,
        )
        after = {**essence(version), "source": settled.source}
        if settled.source != source:
            after["asked"] = source
        record_version(version, "version.create", actor, after=after)
        transaction.on_commit(lambda: queue.fetch(version_id=version.id), robust=True)
    return version


def fetch_version(
    *,
    version_id: UUID,
    sources: Sources,
    store: ArtifactStore,
    inspector: ModelInspector,
    clock: Clock,
    queue: Queue,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> None:
    """Fetches a version's file and looks into it; safe to repeat, one worker at a time."""
    taken = (
        _unclaimed(clock.now())
        .filter(id=version_id)
        .update(validating_since=clock.now(), validation_attempts=F("validation_attempts") + 1)
    )
    if not taken:
        return
    version = ModelVersion.objects.select_related("model").get(id=version_id)
    said = _Pending.of(version)
    try:
        store.check()  # before gigabytes come that could not be kept
        with (
            sources.open(version.source, framework=said.framework) as found,
            intake(store) as files,
        ):
            said = said.completed(found.told)
            stream: Any = _Followed(found, version, clock, max_bytes)
            content = take_in(
                files, stream, said, inspector=inspector, may_publish_code=said.may_publish_code
            )
            with transaction.atomic():
                files.claim()
                _arrived(version, content, queue, said, found)
    except (InvalidInputError, NotAllowedError, SourceRefusedError) as error:
        _rejected(version, str(error))
    except ArtifactStoreFailedError as error:
        # It says nothing of the source: that may be fetched again for as long as it takes.
        _claimed(version).update(
            validating_since=None,
            validation_attempts=F("validation_attempts") - 1,
            state_reason=_storable(f"it waits for the artifact store: {error}"),
        )
    except (SourceFailedError, SandboxUnavailableError, ConflictError, OSError) as error:
        _failed(version, str(error))
    except Exception as error:
        # What nobody thought of is an attempt too: else it is fetched again and again, for ever.
        _failed(version, f"{type(error).__name__}, which a worker's log tells more of")
        raise


def release_fetches(*, queue: Queue) -> int:
    """Asks again for every fetch under way; for a worker's start, whose predecessor was killed."""
    claimed = ModelVersion.objects.filter(state=VersionState.UPLOADING).exclude(
        validating_since=None
    )
    ids = list(claimed.values_list("id", flat=True))
    claimed.filter(id__in=ids).update(validating_since=None)
    for version_id in ids:
        queue.fetch(version_id=version_id)
    return len(ids)


def sweep_fetches(*, clock: Clock, queue: Queue) -> int:
    """Asks again for fetches that nobody is at; returns how many."""
    now = clock.now()
    ids = list(_unclaimed(now).filter(created_at__lt=now - PATIENCE).values_list("id", flat=True))
    for version_id in ids:
        queue.fetch(version_id=version_id)
    return len(ids)


@dataclass(frozen=True)
class _Pending:
    """What the uploader said, kept until the file is here."""

    framework: str
    sha256: str | None
    profile: str
    overrides: Mapping[str, Any]
    signature: Signature | None
    golden: tuple[Any, ...]
    model_config: Mapping[str, Any]
    may_publish_code: bool
    filename: str = ""

    @classmethod
    def of(cls, version: ModelVersion) -> _Pending:
        said = version.pending or {}
        signature = said.get("signature")
        return cls(
            framework=version.framework,
            sha256=said.get("sha256"),
            profile=version.profile,
            overrides=version.overrides,
            signature=Signature.from_document(signature) if signature else None,
            golden=tuple(said.get("golden") or ()),
            model_config=said.get("model_config") or {},
            may_publish_code=bool(said.get("may_publish_code")),
            filename=str(said.get("filename") or ""),
        )

    @staticmethod
    def document(
        metadata: VersionMetadata, filename: str, may_publish_code: bool
    ) -> dict[str, Any]:
        """What is kept of it."""
        return {
            "filename": filename,
            "sha256": metadata.sha256,
            "signature": metadata.signature.to_document() if metadata.signature else None,
            "golden": list(metadata.golden),
            "model_config": dict(metadata.model_config),
            "may_publish_code": may_publish_code,
        }

    def completed(self, told: Told) -> _Pending:
        """With what the source tells, where the uploader said nothing.

        Raises:
            NotAllowedError: it can carry code, and the uploader may not publish that.
        """
        framework = self.framework or told.framework
        if not self.may_publish_code and always_code(framework):
            raise code_refusal(f"models of the framework {framework}")
        return replace(self, framework=framework, signature=self.signature or told.signature)


class _Followed(io.RawIOBase):
    """A stream with an end in bytes and in time, that tells how far it is as the version's reason.

    As long as it moves the version stays its worker's.
    """

    def __init__(self, found: Found, version: ModelVersion, clock: Clock, max_bytes: int) -> None:
        if found.size > max_bytes:
            raise SourceRefusedError(_too_large(version, max_bytes))
        self._found = found
        self._version = version
        self._clock = clock
        self._max_bytes = max_bytes
        self._read = 0
        self._told = 0.0
        self._ends = time.monotonic() + LONGEST_FETCH_S

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._found.stream.read(size)
        self._read += len(chunk)
        if self._read > self._max_bytes:
            raise SourceRefusedError(_too_large(self._version, self._max_bytes))
        now = time.monotonic()
        if now > self._ends:
            raise SourceFailedError(f"it is not here after {LONGEST_FETCH_S / 60:g} minutes")
        if now - self._told >= TELL_EVERY_S:
            self._told = now
            self._tell()
        return chunk

    def _tell(self) -> None:
        of = f" of {_megabytes(self._found.size)}" if self._found.size else ""
        reason = f"fetching it: {_megabytes(self._read)}{of} MB"
        since = self._clock.now()
        if not _claimed(self._version).update(state_reason=reason, validating_since=since):
            raise SourceFailedError("the version is gone, or somebody else fetches it")
        self._version.validating_since = since


def _arrived(
    version: ModelVersion, content: Content, queue: Queue, said: _Pending, found: Found
) -> None:
    present = _claimed(version).select_for_update().first()
    if present is None:
        raise ConflictError("the version is gone, or somebody else fetched it")
    provenance = {**found.told.provenance, **present.provenance}
    _claimed(version).update(
        artifact_id=content.sha256,
        framework=said.framework,
        filename=plain_filename(said.filename or found.filename),
        signature=content.signature.to_document(),
        code=list(content.code),
        parameters=dict(content.parameters),
        model_config=dict(content.model_config),
        golden_id=content.golden_sha256,
        golden_shapes=list(content.golden_shapes),
        metrics=present.metrics or dict(found.told.metrics),
        provenance=provenance,
        state=VersionState.VALIDATING,
        state_reason="",
        validating_since=None,
        validation_attempts=0,
        pending=None,
    )
    VersionFile.objects.bulk_create(
        VersionFile(version=version, path=path, artifact_id=sha256)
        for path, sha256 in content.files.items()
    )
    after = {"sha256": content.sha256, "framework": said.framework, "provenance": provenance}
    record_version(version, "version.fetch", "nereid", after=after)
    transaction.on_commit(lambda: queue.validate(version_id=version.id), robust=True)


def _rejected(version: ModelVersion, reason: str) -> None:
    reason = _storable(reason)
    with transaction.atomic():
        changed = _claimed(version).update(
            state=VersionState.REJECTED, state_reason=reason, validating_since=None, pending=None
        )
        if changed:
            record_version(version, "version.rejected", "nereid", reason=reason)


def _failed(version: ModelVersion, problem: str) -> None:
    attempts = version.validation_attempts
    if attempts >= MAX_ATTEMPTS:
        _rejected(version, f"it could not be fetched in {attempts} attempts, the last: {problem}")
        return
    reason = f"attempt {attempts} of {MAX_ATTEMPTS} to fetch it came to nothing: {problem}"
    _claimed(version).update(validating_since=None, state_reason=_storable(reason))


def _storable(reason: str) -> str:
    """A reason, which may repeat what a stranger wrote, as the database can hold it."""
    text = reason.encode("utf-8", "replace").decode()[:MAX_TEXT]
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _unclaimed(now: datetime) -> QuerySet[ModelVersion]:
    free = Q(validating_since=None) | Q(validating_since__lt=now - CLAIM_EXPIRY)
    return ModelVersion.objects.filter(free, state=VersionState.UPLOADING)


def _claimed(version: ModelVersion) -> QuerySet[ModelVersion]:
    return ModelVersion.objects.filter(
        id=version.id,
        state=VersionState.UPLOADING,
        validating_since=version.validating_since,
    )


def _too_large(version: ModelVersion, max_bytes: int) -> str:
    return (
        f"{version.source} is larger than the {_megabytes(max_bytes)} MB that a version may have "
        "(NEREID_MAX_UPLOAD_BYTES)"
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f}"

"""Adopting what a process of somebody's own serves as a version: it is asked, and not copied."""

from __future__ import annotations

from dataclasses import replace

from django.db import transaction

from control_plane.domain.registry.frameworks import REMOTE, REMOTE_PROCESS
from control_plane.domain.registry.remote import (
    FILE,
    AllowedRemotes,
    RemoteModel,
    read_remote,
    same_service,
)
from control_plane.domain.serving.details import NO_DETAILS
from control_plane.domain.serving.overriding import merged, overridden
from control_plane.domain.signature import differences
from control_plane.domain.violations import InvalidInputError, Violation
from control_plane.fleet.models import Server
from control_plane.ports.queue import Queue
from control_plane.ports.remotes import DescribedRemote, RemoteFailedError, RemoteModels
from control_plane.ports.repository import ArtifactStore
from control_plane.registry.artifacts import intake
from control_plane.registry.contents import Content, code_refusal, golden_document
from control_plane.registry.models import ModelVersion
from control_plane.registry.profiles import hold_profile, usable_profile
from control_plane.registry.selectors import get_model
from control_plane.registry.services import (
    VersionMetadata,
    check_metadata,
    create_version,
    locked_model,
    next_number,
)


def adopt(
    *,
    model_name: str,
    source: str,
    metadata: VersionMetadata,
    actor: str,
    store: ArtifactStore,
    remotes: RemoteModels,
    allowed: AllowedRemotes,
    queue: Queue,
    may_publish_code: bool = False,
) -> ModelVersion:
    """Adds a version whose requests go to `grpc://HOST:PORT/MODEL`, in state `validating`.

    The process is asked now what it takes and gives. Its own largest batch bounds the profile's,
    as an override of the version.

    Raises:
        NotFoundError: there is no such model.
        InvalidInputError: the metadata or the address is not usable, the process does not answer,
            or it takes and gives something else than was said.
        NotAllowedError: the caller may not publish code, which a process of one's own is.
        ConflictError: the number is taken, or there is none after the highest.
    """
    model = get_model(model_name)
    metadata = replace(metadata, framework=REMOTE)
    check_metadata(metadata, adopted=True)
    if not may_publish_code:
        raise code_refusal(REMOTE_PROCESS)
    remote = read_remote(source)
    allowed.check(remote)
    _check_elsewhere(remote)
    described = _described(remotes, remote, metadata)
    metadata = _bounded(replace(metadata, signature=described.signature), described)
    golden, shapes = golden_document(metadata, described.signature, NO_DETAILS)
    with intake(store) as files:
        content = Content(
            sha256=files.add_bytes(remote.to_file()),
            signature=described.signature,
            files={},
            code=(REMOTE_PROCESS,),
            golden_sha256=files.add_bytes(golden) if golden else None,
            golden_shapes=shapes,
            parameters={},
            model_config={},
        )
        with transaction.atomic():
            locked_model(model_name)
            number = next_number(model, metadata.number)
            hold_profile(metadata.profile)
            files.claim()
            version = create_version(
                model, number, content, FILE, metadata, actor, source=str(remote)
            )
            transaction.on_commit(lambda: queue.validate(version_id=version.id), robust=True)
    return version


def _check_elsewhere(remote: RemoteModel) -> None:
    """A server of the fleet would forward to itself: what it serves is an arm already."""
    for server in Server.objects.all():
        addresses = (server.http, server.grpc, server.metrics.partition("//")[2].partition("/")[0])
        if any(same_service(remote, address) for address in addresses):
            detail = (
                f"{remote.address} is the server {server.name!r} of this fleet: name a version of "
                "a model in the policy instead"
            )
            raise InvalidInputError([Violation("/source", "own_server", detail)])


def _described(
    remotes: RemoteModels, remote: RemoteModel, metadata: VersionMetadata
) -> DescribedRemote:
    try:
        found = remotes.describe(remote)
    except RemoteFailedError as error:
        raise InvalidInputError([Violation("/source", "remote", str(error))]) from error
    if metadata.signature and (differing := differences(found.signature, metadata.signature)):
        detail = f"{remote} takes or gives something else: {'; '.join(differing)}"
        raise InvalidInputError([Violation("/signature", "mismatch", detail)])
    return found


def _bounded(metadata: VersionMetadata, described: DescribedRemote) -> VersionMetadata:
    most = described.max_batch_size
    profile = overridden(usable_profile(metadata.profile), metadata.overrides, "/overrides")
    if not described.signature.batched or profile.max_batch_size <= most:
        return metadata
    narrower = merged(metadata.overrides, {"max_batch_size": most})
    overridden(usable_profile(metadata.profile), narrower, "/overrides")
    return replace(metadata, overrides=narrower)

"""Uploads that may break off and go on: made, written, finished or forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Count, Sum
from django.db.models.functions import Coalesce

from control_plane.adapters.partial_files import BEING_WRITTEN
from control_plane.audit.services import record
from control_plane.domain.stored_json import check_text
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    Violation,
)
from control_plane.ports.clock import Clock
from control_plane.ports.partial_files import PartialFiles, Readable
from control_plane.registry.models import Upload

_FILE_GRACE = timedelta(hours=1)


@dataclass(frozen=True)
class Quota:
    """What one person may have under way: bytes of one upload, of all, their number, and for how
    long an upload waits for more."""

    upload_bytes: int
    all_bytes: int
    count: int
    patience: timedelta


class UploadExpiredError(NotFoundError):
    """It was not finished in time."""


def create_upload(
    *,
    owner: str,
    length: int,
    filename: str,
    sha256: str,
    quota: Quota,
    files: PartialFiles,
    clock: Clock,
) -> Upload:
    """Begins an upload of so many bytes.

    Raises:
        InvalidInputError: the name cannot be kept.
        ConflictError: its owner has too much under way already.
    """
    check_text(filename, "/filename", limit=255)
    with transaction.atomic():
        # One after the other: two at once would both find room.
        get_user_model().objects.select_for_update().filter(username=owner).first()
        mine = Upload.objects.filter(owner=owner, expires_at__gt=clock.now())
        used = mine.aggregate(count=Count("id"), bytes=Coalesce(Sum("length"), 0))
        if used["count"] >= quota.count:
            raise ConflictError(
                f"{used['count']} uploads of yours are unfinished, and {quota.count} may be: "
                "finish or delete one"
            )
        if used["bytes"] + length > quota.all_bytes:
            raise ConflictError(
                f"your unfinished uploads take {used['bytes']} bytes, and with this one they "
                f"would pass the {quota.all_bytes} that they may: finish or delete one"
            )
        upload = Upload.objects.create(
            owner=owner,
            filename=filename,
            sha256=sha256,
            length=length,
            expires_at=clock.now() + quota.patience,
        )
        files.create(upload.id)
        _record(upload, "upload.create", owner)
    return upload


def get_upload(upload_id: UUID, *, owner: str, clock: Clock) -> Upload:
    """One's own upload.

    Raises:
        NotFoundError: there is none of that id, or it is somebody else's.
        UploadExpiredError: it was not finished in time.
    """
    upload = Upload.objects.filter(id=upload_id, owner=owner).first()
    if upload is None:
        raise NotFoundError(f"there is no upload {upload_id} of yours")
    if upload.expires_at <= clock.now():
        raise UploadExpiredError(f"upload {upload_id} was not finished in time: begin again")
    return upload


def append_to_upload(
    *,
    upload_id: UUID,
    owner: str,
    offset: int,
    stream: Readable,
    announced: int,
    checksum: tuple[str, bytes] | None,
    quota: Quota,
    files: PartialFiles,
    clock: Clock,
) -> Upload:
    """Takes what comes next of an upload.

    Raises:
        NotFoundError, UploadExpiredError: see `get_upload`.
        ConflictError: somebody else is writing it, or it goes on elsewhere than at `offset`.
        InvalidInputError: more is announced than is left to come.
        WrongChecksumError: what arrived is not what was sent; nothing of it counts.
    """
    get_upload(upload_id, owner=owner, clock=clock)
    with files.locked(upload_id):
        upload = get_upload(upload_id, owner=owner, clock=clock)
        if offset != upload.offset:
            raise ConflictError(f"the upload goes on at {upload.offset}, not at {offset}")
        if announced > upload.length - offset:
            detail = f"{announced} bytes are too many: {upload.length - offset} are left to come"
            raise InvalidInputError([Violation("", "length", detail)])

        def arrived(place: int) -> None:
            Upload.objects.filter(id=upload_id).update(
                offset=place, expires_at=clock.now() + quota.patience
            )

        files.append(upload_id, offset, stream, announced, checksum=checksum, arrived=arrived)
    upload.refresh_from_db()
    return upload


def delete_upload(
    *, upload: Upload, actor: str, files: PartialFiles, action: str = "upload.delete"
) -> None:
    """Forgets an upload and what arrived of it; one that is gone is no error."""
    with transaction.atomic():
        if Upload.objects.filter(id=upload.id).delete()[0]:
            _record(upload, action, actor)
        # What cannot be dropped now is found by the sweep.
        transaction.on_commit(lambda: files.remove(upload.id), robust=True)


@contextmanager
def finished_upload(
    upload_id: str, *, owner: str, files: PartialFiles, clock: Clock
) -> Iterator[tuple[Upload, BinaryIO]]:
    """An upload of which everything is there, and its file; forgotten when the work is done.

    Raises:
        InvalidInputError: there is no such upload, or it is not finished.
        ConflictError: somebody is writing it.
    """
    try:
        upload = get_upload(UUID(upload_id), owner=owner, clock=clock)
    except ValueError:
        detail = f"{upload_id[:80]!r} is no upload's id"
        raise InvalidInputError([Violation("/source", "invalid", detail)]) from None
    except NotFoundError as error:
        raise InvalidInputError([Violation("/source", "not_found", str(error))]) from error
    if upload.offset < upload.length:
        detail = f"{upload.offset} of {upload.length} bytes have arrived: send the rest first"
        raise InvalidInputError([Violation("/source", "unfinished", detail)])
    with files.locked(upload.id), files.opened(upload.id, upload.length) as file:
        yield upload, file
        delete_upload(upload=upload, actor=owner, files=files, action="upload.finish")


@contextmanager
def locked_everywhere(upload_id: UUID) -> Iterator[None]:
    """Keeps every other process, on whatever machine, from writing an upload.

    The database drops the lock with the connection: a process that is killed leaves none.

    Raises:
        ConflictError: one is writing it.
    """
    number = upload_id.int >> 65  # a bigint of PostgreSQL's
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [number])
        if not cursor.fetchone()[0]:
            raise ConflictError(BEING_WRITTEN)
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [number])


def sweep_uploads(*, files: PartialFiles, clock: Clock) -> int:
    """Forgets the uploads whose time is over, and files that belong to none; returns how many."""
    gone = 0
    for upload in Upload.objects.filter(expires_at__lte=clock.now()):
        delete_upload(upload=upload, actor="nereid", files=files, action="upload.expire")
        gone += 1
    # One that is made just now has a file before others see its row.
    names = files.left_since(clock.now() - _FILE_GRACE)
    known = set(Upload.objects.filter(id__in=names).values_list("id", flat=True))
    for left in set(names) - known:
        files.remove(left)
    return gone


def _record(upload: Upload, action: str, actor: str) -> None:
    record(
        actor=actor,
        action=action,
        object_type="upload",
        object_id=upload.id,
        object_name=upload.filename or str(upload.id),
        after={"length": upload.length, "sha256": upload.sha256} if "create" in action else None,
    )

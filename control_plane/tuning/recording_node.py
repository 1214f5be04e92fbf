"""What a node does for a recording: asks its router, takes what it recorded, and lets it go.

Everything follows from the record and the router's files, so a look may be repeated, come late, or
be made by whoever takes the place of a node that died.
"""

from __future__ import annotations

import gzip
import io
import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet

from control_plane.audit.services import record
from control_plane.domain.perf.recording import (
    GOING_ON,
    RecordingState,
    UnreadableRecordingError,
    facts_of,
    read_records,
)
from control_plane.ports.clock import Clock
from control_plane.ports.recorder import Recorded, RecordingAsk, RequestRecorder
from control_plane.ports.repository import ArtifactStore
from control_plane.tuning.recording_record import Recording

logger = logging.getLogger(__name__)

TAKEN_UP_WITHIN = timedelta(seconds=20)
"""The router looks a few times a second: one that has not by then records nothing."""

ENDED_WITHIN = timedelta(seconds=30)
"""After its time a recording is written to its end and kept."""


CARRIED_OUT_WITHIN = timedelta(minutes=5)
"""A node that is away for longer is not waited for, neither for a beginning nor for the end."""


def look_at(
    *, recording_id: int, key: str, recorder: RequestRecorder, store: ArtifactStore, clock: Clock
) -> None:
    """One look: brings a recording as far as it can go now."""
    row = Recording.objects.filter(pk=recording_id, key=key).first()
    if row is None or row.over:
        recorder.forget(key)
        return
    if row.state == RecordingState.QUEUED:
        _begin(row, clock)
    _advance(row, recorder, store, clock)
    # Another thread's look may have ended it, and forgotten before this one asked.
    if not _going_on(row).exists():
        recorder.forget(key)


def forget_what_is_over(recorder: RequestRecorder) -> None:
    """Asks the router for nothing that no record wants: else what it wrote would stay for good.

    A record may be deleted, or ended, while its node hears nothing of it.

    Raises:
        OSError: what is asked for cannot be told.
    """
    asked = recorder.asked()
    rows = Recording.objects.filter(key__in=asked, state__in=GOING_ON) if asked else ()
    for key in set(asked) - {row.key.hex for row in rows}:
        recorder.forget(key)


def end_what_nobody_carries_out(clock: Clock) -> None:
    """Ends recordings whose server is away, or gone: no look will come to their end."""
    late = clock.now() - CARRIED_OUT_WITHIN
    for row in Recording.objects.filter(state__in=GOING_ON):
        if row.server_id is None:
            reason = f"server {row.server_name} is gone"
        elif row.state == RecordingState.QUEUED and row.created_at < late:
            reason = f"the node of {row.server_name} did not take it up"
        elif row.ends_at is not None and row.ends_at < late:
            reason = f"the node of {row.server_name} did not come back to keep what was recorded"
        else:
            continue
        _end(row, RecordingState.FAILED, reason, clock)


def _advance(row: Recording, recorder: RequestRecorder, store: ArtifactStore, clock: Clock) -> None:
    key = row.key.hex
    until = 0 if row.stopped_by or row.ends_at is None else int(row.ends_at.timestamp() * 1000)
    try:
        found = recorder.look(key)
    except OSError as error:
        # Where something was seen of it, it had begun.
        found = Recorded(begun=row.size > 0, requests=row.requests, bytes=row.size)
        logger.warning("recording %s: %s", row.name, error)
    if found.done:
        _take(row, recorder, store, clock)
    elif found.failed:
        _end(row, RecordingState.FAILED, f"{row.server_name}: {found.failed}", clock)
        recorder.forget(key)
    elif reason := _overdue(row, found.begun, clock):
        _end(row, RecordingState.FAILED, reason, clock)
        recorder.forget(key)
    else:
        ask = RecordingAsk(row.endpoint, row.most_requests, row.most_bytes, row.parts, until)
        recorder.ask(key, ask)
        _going_on(row).update(requests=found.requests, size=found.bytes)


def _begin(row: Recording, clock: Clock) -> None:
    row.state, row.reason = RecordingState.RECORDING, "being recorded"
    row.started_at = clock.now()
    row.ends_at = row.started_at + timedelta(microseconds=row.length_us)
    begun = {key: getattr(row, key) for key in ("state", "reason", "started_at", "ends_at")}
    Recording.objects.filter(pk=row.pk, state=RecordingState.QUEUED).update(**begun)


def _overdue(row: Recording, begun: bool, clock: Clock) -> str:
    now = clock.now()
    if not begun and row.started_at and now > row.started_at + TAKEN_UP_WITHIN:
        return (
            f"the router of {row.server_name} did not take it up: a Triton that is not ours to "
            "start needs the folders of docs/perf.md"
        )
    if row.ends_at and now > row.ends_at + ENDED_WITHIN:
        return f"the router of {row.server_name} did not come to its end"
    return ""


def _take(row: Recording, recorder: RequestRecorder, store: ArtifactStore, clock: Clock) -> None:
    """Keeps what was recorded; only then is the router told to delete it."""
    key = row.key.hex
    try:
        content = recorder.content(key)
        requests = read_records(content)
    except (OSError, UnreadableRecordingError) as error:
        logger.warning("recording %s: %s", row.name, error)
        _end(row, RecordingState.FAILED, f"what {row.server_name} recorded: {error}", clock)
        recorder.forget(key)
        return
    row.facts = facts_of(requests, batched=row.batched)
    row.requests, row.size = len(requests), len(content)
    if requests:
        state, said = _keep(row, content, store)
    else:
        state, said = RecordingState.FAILED, _why_none(row)
    _end(row, state, said, clock)
    recorder.forget(key)


def _keep(row: Recording, content: bytes, store: ArtifactStore) -> tuple[RecordingState, str]:
    # Its time makes the file one of its own: deleting it takes nobody else's away.
    packed = gzip.compress(content, 6, mtime=row.pk)
    try:
        row.digest, _ = store.add(io.BytesIO(packed))
    except OSError as error:
        logger.warning("recording %s: %s", row.name, error)
        what = error.strerror or error
        said = f"{row.server_name} could not keep it (NEREID_RECORDING_STORE): {what}"
        return RecordingState.FAILED, said
    return RecordingState.READY, "stopped" if row.stopped_by else "at its end"


def _why_none(row: Recording) -> str:
    if row.stopped_by:
        return f"{row.stopped_by} stopped it before a request came that could be recorded"
    return (
        f"no request came that could be recorded: none of sequences is, and none above "
        f"{row.most_bytes:,} bytes"
    )


def _end(row: Recording, state: RecordingState, reason: str, clock: Clock) -> None:
    with transaction.atomic():
        ended = {
            **{key: getattr(row, key) for key in ("requests", "size", "digest", "facts")},
            **{"state": state, "reason": reason, "finished_at": clock.now()},
        }
        if not _going_on(row).update(**ended):
            return  # deleted meanwhile: its file is found by who looks for such
        record(
            actor="nereid",
            action=f"recording.{state}",
            object_type="recording",
            object_id=row.pk,
            object_name=row.endpoint,
            after={"recording": row.name, "requests": row.requests, "bytes": row.size},
            reason=reason,
        )


def _going_on(row: Recording) -> QuerySet[Recording]:
    return Recording.objects.filter(pk=row.pk, state__in=GOING_ON)

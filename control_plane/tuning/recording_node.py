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
from control_plane.ports.recorder import RecordingAsk, RequestRecorder
from control_plane.ports.repository import ArtifactStore
from control_plane.tuning.recording_record import Recording

logger = logging.getLogger(__name__)

TAKEN_UP_WITHIN = timedelta(seconds=20)
"""The router looks a few times a second: one that has not by then records nothing."""

ENDED_WITHIN = timedelta(seconds=30)
"""After its time a recording is written to its end and kept."""


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
    until = 0 if row.stopped_by or row.ends_at is None else int(row.ends_at.timestamp() * 1000)
    found = recorder.look(key)
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
        # Its time makes the file one of its own: deleting it takes nobody else's away.
        packed = gzip.compress(content, 6, mtime=row.pk)
        row.digest, _ = store.add(io.BytesIO(packed))
        said = "stopped" if row.stopped_by else "at its end"
        _end(row, RecordingState.READY, said, clock)
    else:
        said = (
            f"no request came that fits into {row.most_bytes:,} bytes; sequences are not recorded"
        )
        _end(row, RecordingState.FAILED, said, clock)
    recorder.forget(key)


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

"""Recordings of what callers send: asked for, ended, read and deleted, each with its audit event.

What was sent may be private. Who may record an endpoint, or have its recordings sent again, has the
permission `RECORD` on it; nobody is given what is in them.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet

from control_plane.audit.services import record
from control_plane.domain.access import RECORD, Kind, Target
from control_plane.domain.perf.recording import (
    GOING_ON,
    RecordedRequest,
    RecordingRequest,
    RecordingState,
    read_recording,
    read_records,
)
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    Violation,
)
from control_plane.fleet.models import Server
from control_plane.fleet.selectors import is_alive
from control_plane.ports.clock import Clock
from control_plane.ports.queue import Queue
from control_plane.ports.repository import ArtifactMissingError, ArtifactStore, read_artifact
from control_plane.ports.serving import EndpointFacts
from control_plane.tuning.recording_record import Recording

KEPT = timedelta(days=30)
"""As long as what perf runs leave."""

MAX_KEPT = 20
"""Recordings of one endpoint."""


def may_send_by(user: Any) -> Callable[[str], bool]:
    """Endpoint -> whether the person may have its recordings sent: whoever may record it."""
    return lambda endpoint: bool(user.has_perm(RECORD, Target(Kind.ENDPOINT, endpoint)))


def recordings() -> QuerySet[Recording]:
    """Every recording, newest first."""
    return Recording.objects.all()


def ready_recordings(may_send: Callable[[str], bool]) -> list[Recording]:
    """Those that can be sent by whoever may send those of their endpoints, newest first."""
    rows = list(recordings().filter(state=RecordingState.READY).defer("facts"))
    allowed = {name for name in {row.endpoint for row in rows} if may_send(name)}
    return [row for row in rows if row.endpoint in allowed]


def get_recording(name: str, endpoint: str | None = None) -> Recording:
    """The recording of that name, of that endpoint where one is named.

    Raises:
        NotFoundError: there is none (any more).
    """
    rows = recordings().filter(name=name)
    found = (rows if endpoint is None else rows.filter(endpoint=endpoint)).first()
    if found is None:
        of = f" of endpoint {endpoint}" if endpoint else ""
        raise NotFoundError(f"there is no recording {name!r}{of} (any more)")
    return found


def still_there(row: Recording | None, name: str) -> Recording:
    """The recording that was asked for under that name, and never another one that has it now.

    Raises:
        ConflictError: it is gone.
    """
    if row is None:
        raise ConflictError(f"recording {name} is not there any more")
    return row


def kept_there(row: Recording | None) -> Recording | None:
    """It, if there is one, locked until the transaction ends: nobody deletes it meanwhile.

    Raises:
        ConflictError: it is gone already.
    """
    if row is None:
        return None
    return still_there(recordings().select_for_update().filter(pk=row.pk).first(), row.name)


def start_recording(
    *,
    endpoint: str,
    document: object,
    actor: str,
    clock: Clock,
    queue: Queue,
    endpoints: EndpointFacts,
    reason: str = "",
) -> Recording:
    """Asks for a recording of an endpoint's requests on one of its servers.

    Args:
        document: what `domain.perf.recording.read_recording` reads.

    Raises:
        NotFoundError: there is no such endpoint.
        InvalidInputError: the request breaks a rule.
        ConflictError: the endpoint serves nothing, is being recorded, or has enough of them; the
            name is taken, or no server of it is there.
    """
    request = read_recording(document)
    try:
        with transaction.atomic():
            _lock_recordings(endpoint)
            served = endpoints.served(endpoint)
            server = _server(request, endpoint, served.servers, clock)
            row = _add(endpoint, request, server, served.max_batch_size > 0, actor)
            record(
                actor=actor,
                action="recording.start",
                object_type="recording",
                object_id=row.pk,
                object_name=endpoint,
                after={"recording": row.name, "server": server.name, **request.to_document()},
                reason=reason,
            )
            announce(row, queue)
    except IntegrityError as error:
        raise ConflictError(
            f"endpoint {endpoint} is being recorded, or there is a recording of that name already"
        ) from error
    return row


def stop_recording(*, name: str, endpoint: str, actor: str, queue: Queue) -> Recording:
    """Ends a recording now; what it has is kept. Stopping once more changes nothing.

    Raises:
        NotFoundError: there is no such recording.
        ConflictError: it is over.
    """
    get_recording(name, endpoint)
    with transaction.atomic():
        row = Recording.objects.select_for_update().get(name=name)
        if row.over:
            raise ConflictError(f"recording {name} is over: it is {row.state} ({row.reason})")
        if not row.stopped_by:
            row.stopped_by = actor
            row.save(update_fields=["stopped_by"])
            record(
                actor=actor,
                action="recording.stop",
                object_type="recording",
                object_id=row.pk,
                object_name=endpoint,
                after={"recording": name},
            )
        announce(row, queue)
    return row


def delete_recording(
    *, name: str, endpoint: str, actor: str, queue: Queue, store: ArtifactStore, reason: str = ""
) -> None:
    """Deletes a recording with all that it holds; one that goes on is ended.

    Raises:
        NotFoundError: there is no such recording.
    """
    get_recording(name, endpoint)
    with transaction.atomic():
        row = Recording.objects.select_for_update().get(name=name)
        number, digest = row.pk, row.digest
        record(
            actor=actor,
            action="recording.delete",
            object_type="recording",
            object_id=number,
            object_name=endpoint,
            before={"recording": name, "state": row.state, "requests": row.requests},
            reason=reason,
        )
        row.delete()
        # Its node asks no more, and the router deletes what it has.
        announce(row, queue, number)
        if digest:
            transaction.on_commit(lambda: store.discard(digest), robust=True)


def delete_recordings_of(endpoint: str, *, actor: str, queue: Queue, store: ArtifactStore) -> None:
    """Deletes all that was recorded of an endpoint that goes: its name may be another's next.

    Call it in the transaction in which it goes: what is being started meanwhile then sees that.
    """
    _lock_recordings(endpoint)
    for row in recordings().filter(endpoint=endpoint):
        delete_recording(
            name=row.name,
            endpoint=endpoint,
            actor=actor,
            queue=queue,
            store=store,
            reason="the endpoint was deleted",
        )


def expire_recordings(*, clock: Clock, queue: Queue, store: ArtifactStore) -> None:
    """Deletes what is older than recordings are kept, and files that no record has any more."""
    old = recordings().filter(created_at__lte=clock.now() - KEPT).exclude(state__in=GOING_ON)
    for row in old:
        delete_recording(
            name=row.name,
            endpoint=row.endpoint,
            actor="nereid",
            queue=queue,
            store=store,
            reason=f"kept for {KEPT.days} days",
        )
    known = set(recordings().exclude(digest="").values_list("digest", flat=True))
    young = clock.now() - timedelta(hours=1)  # its record may be on its way
    for digest in set(store.digests()) - known:
        if store.taken_at(digest) < young:
            store.discard(digest)


def must_be_ready(row: Recording) -> None:
    """Of what is to be sent.

    Raises:
        ConflictError: it is not ready, and what to do.
    """
    if row.state in GOING_ON:
        raise ConflictError(
            f"recording {row.name} is still going on: wait for its end, or stop it and use what it "
            f"has by then (nereid record stop {row.endpoint} {row.name})"
        )
    if row.state != RecordingState.READY:
        raise ConflictError(f"recording {row.name} is {row.state}: {row.reason}")


def recorded_requests(row: Recording, store: ArtifactStore) -> Sequence[RecordedRequest]:
    """What a recording that is ready holds.

    Raises:
        ConflictError: it is not ready, or its file is gone.
    """
    must_be_ready(row)
    try:
        return read_records(gzip.decompress(read_artifact(store, row.digest)))
    except ArtifactMissingError as error:
        raise ConflictError(f"what recording {row.name} held is gone") from error


def announce(row: Recording, queue: Queue, number: int | None = None) -> None:
    """Tells the node to look at it, once what was written stands."""
    server, key = row.server_name, row.key.hex
    recording_id = row.pk if number is None else number
    # Robust: the sweep finds what the broker did not take.
    transaction.on_commit(
        lambda: queue.recording(server=server, recording_id=recording_id, key=key), robust=True
    )


def _lock_recordings(endpoint: str) -> None:
    """Until the transaction ends nobody else starts one of it, or deletes it with them."""
    with connection.cursor() as cursor:
        name = f"recordings of {endpoint}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def _server(
    request: RecordingRequest, endpoint: str, serving: frozenset[str], clock: Clock
) -> Server:
    now = clock.now()
    rows = Server.objects.filter(name__in=serving).order_by("name")
    alive = [row for row in rows if is_alive(row, now)]
    if not request.server:
        if alive:
            return alive[0]
        raise ConflictError(f"no server of endpoint {endpoint} is there")
    found = next((row for row in alive if row.name == request.server), None)
    if found is None:
        names = ", ".join(row.name for row in alive) or "no server that is there"
        detail = f"endpoint {endpoint} is served by {names}"
        raise InvalidInputError([Violation("/server", "not_found", detail)])
    return found


def _add(
    endpoint: str, request: RecordingRequest, server: Server, batched: bool, actor: str
) -> Recording:
    # Locked: of two who ask at once, one finds what the other made.
    Server.objects.select_for_update().get(pk=server.pk)
    holding = recordings().filter(endpoint=endpoint).exclude(state=RecordingState.FAILED)
    if holding.count() >= MAX_KEPT:
        raise ConflictError(f"endpoint {endpoint} has {MAX_KEPT} recordings: delete some")
    return Recording.objects.create(
        name=request.name or _free_name(endpoint),
        endpoint=endpoint,
        server=server,
        server_name=server.name,
        most_requests=request.requests,
        most_bytes=request.bytes,
        length_us=request.length,
        parts=request.parts,
        batched=batched,
        asked_by=actor,
    )


def _free_name(endpoint: str) -> str:
    """`digits-1`, or the next that is free; a long endpoint's name is cut."""
    taken = set(recordings().values_list("name", flat=True))
    numbers = range(1, len(taken) + 2)
    names = (f"{endpoint[: 62 - len(str(n))].rstrip('-_')}-{n}" for n in numbers)
    return next(name for name in names if name not in taken)

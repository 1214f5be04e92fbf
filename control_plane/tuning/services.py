"""Asking for perf runs, and ending them: record and audit event in one transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from django.db import transaction

from control_plane.audit.services import record
from control_plane.domain.access import RECORD
from control_plane.domain.perf.input_data import decided
from control_plane.domain.perf.read_request import read_request
from control_plane.domain.perf.recording import unfit, varied
from control_plane.domain.perf.request import Input, LoadKind, PerfRequest, SharedMemory
from control_plane.domain.perf.states import PerfState
from control_plane.domain.planning.backends import Equipped
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    Violation,
)
from control_plane.fleet.models import Server
from control_plane.fleet.selectors import backends_of, get_server, is_alive, server_status
from control_plane.ports.clock import Clock
from control_plane.ports.queue import Queue
from control_plane.ports.repository import ArtifactStore
from control_plane.ports.serving import EndpointFacts
from control_plane.tuning.ending import tell_finished
from control_plane.tuning.models import PerfRun, Recording
from control_plane.tuning.recordings import get_recording, kept_there, must_be_ready
from control_plane.tuning.selectors import get_perf_run
from control_plane.tuning.targets import Aimed, aim, examples_document

LOAD_PRODUCTION = "fleet.change_server"
"""To put a server under load that is not marked `lab`: whoever has it could mark it so."""

MaySend = Callable[[str], bool]
"""Endpoint -> whether whoever asks may have its recordings sent."""


def nothing(_: str) -> bool:
    """Nobody's recordings."""
    return False


MAX_WAITING = 20
"""Runs that may wait for one server."""


def start_perf_run(
    *,
    document: object,
    actor: str,
    clock: Clock,
    queue: Queue,
    endpoints: EndpointFacts,
    store: ArtifactStore,
    allow_production: bool = False,
    may_load_production: bool = False,
    may_send: MaySend = nothing,
    found: Recording | None = None,
    reason: str = "",
) -> PerfRun:
    """Asks for a run; it begins when its server is free.

    Args:
        document: what `domain.perf.read_request` reads.
        allow_production: the server may be one that is not marked `lab`.
        may_load_production: the actor may say so (`LOAD_PRODUCTION`).
        may_send: whether the actor may have the recordings of an endpoint sent (`RECORD`).
        found: the recording that is sent, of a tune that found it when it was asked for.

    Raises:
        InvalidInputError: the request breaks a rule, names what is not there, or its target
            cannot be run there.
        ConflictError: the server is not there, or is not for this; or the target is not ready.
        NotAllowedError: production is to be loaded, or a recording sent, and the actor may not.
    """
    request = read_request(document)
    with named_at("/server"):
        server = get_server(request.server)
    check_server(server, request, clock.now(), allow_production, may_load_production)
    with named_at("/target"):
        target = aim(request.target, equipped(server), endpoints, request.overrides)
    check_batch(request, target)
    recording = checked_recording(request, target, may_send, found)
    golden = bool(examples_document(target.version, target.inputs, store))
    request = decided(request, target.inputs, golden=golden, batched=target.max_batch_size > 0)
    asked = {"allow_production": allow_production, "why": reason, "asked_by": actor}
    with transaction.atomic():
        run = _add(server, request, target, recording=kept_there(recording), **asked)
        record(
            actor=actor,
            action="perf_run.start",
            object_type="perf_run",
            object_id=run.pk,
            object_name=str(request.target),
            after={"run": run.pk, **run.request, "allow_production": allow_production},
            reason=reason,
        )
        _announce(run, queue)
    return run


def cancel_perf_run(
    *, number: int, actor: str, clock: Clock, queue: Queue, reason: str = ""
) -> PerfRun:
    """Ends a run: one that waits at once, one that runs as soon as its worker looks.

    Cancelling once more changes nothing.

    Raises:
        NotFoundError: there is no such run.
        ConflictError: it is over.
    """
    get_perf_run(number)
    with transaction.atomic():
        run = PerfRun.objects.select_for_update().get(pk=number)
        if run.state in (PerfState.CANCELLING, PerfState.CANCELLED):
            return run
        if run.over:
            raise ConflictError(f"perf run {number} is over: it {run.state} ({run.reason})")
        before = run.state
        run.cancelled_by = actor
        run.reason = f"cancelled by {actor}" + (f": {reason}" if reason else "")
        # What a node or a worker is at has to be let go by it.
        run.state = PerfState.CANCELLED if run.state == PerfState.QUEUED else PerfState.CANCELLING
        run.finished_at = clock.now() if run.over else None
        run.save(update_fields=["cancelled_by", "reason", "state", "finished_at"])
        record(
            actor=actor,
            action="perf_run.cancel",
            object_type="perf_run",
            object_id=run.pk,
            object_name=str(run.target),
            before={"run": run.pk, "state": before},
            after={"run": run.pk, "state": run.state},
            reason=reason,
        )
        if run.over:
            tell_finished(run, clock)
        _announce(run, queue)
    return run


def _add(server: Server, request: PerfRequest, target: Aimed, **values: Any) -> PerfRun:
    # Locked: of two who ask at once, one is the last that fits.
    Server.objects.select_for_update().get(pk=server.pk)
    waiting = PerfRun.objects.filter(server=server, state=PerfState.QUEUED).count()
    if waiting >= MAX_WAITING:
        raise ConflictError(
            f"{waiting} perf runs wait for {server.name} already: cancel some, or wait"
        )
    return PerfRun.objects.create(
        server=server,
        server_name=server.name,
        kind=request.target.kind,
        name=request.target.name,
        number=request.target.number,
        version=target.version if target.plan is not None else None,
        physical=target.physical,
        request=request.to_document(),
        plan=target.plan,
        **values,
    )


@contextlib.contextmanager
def named_at(pointer: str) -> Iterator[None]:
    """What a body names and is not there is a fault of that place in it."""
    try:
        yield
    except NotFoundError as error:
        raise InvalidInputError([Violation(pointer, "not_found", str(error))]) from error


def check_server(
    server: Server, request: PerfRequest, now: datetime, allowed: bool, may: bool
) -> None:
    """Holds a server against what may be done there (`start_perf_run`).

    Raises:
        ConflictError, NotAllowedError.
    """
    status, why = server_status(server, now)
    if not is_alive(server, now):
        raise ConflictError(f"server {server.name} is {status}: {why}")
    if server.lab:
        return
    if not allowed:
        raise ConflictError(
            f"server {server.name} is not marked as a lab, and may serve what matters: mark it "
            f"(nereid servers lab {server.name} on), or say allow_production"
        )
    if not may:
        raise NotAllowedError(
            f"to put {server.name} under load, which is no lab, takes {LOAD_PRODUCTION}: ask for "
            "the role operator or admin"
        )
    if request.shared_memory is not SharedMemory.NONE:
        raise ConflictError(
            f"perf_analyzer takes every shared-memory region off a server when it begins, those of "
            f"others too: on {server.name}, which is no lab, it is not run so"
        )


def equipped(server: Server) -> Equipped | None:
    """The server with its backends; None where they are not known."""
    known = backends_of(server)
    return None if known is None else Equipped(server.name, known, server.accelerator)


def check_batch(request: PerfRequest, target: Aimed) -> None:
    """Holds the rows of a request against what the target takes.

    Raises:
        InvalidInputError.
    """
    most = max(1, target.max_batch_size)
    found = []
    if request.batch > most:
        detail = f"{request.batch} rows; {request.target} takes {most} at most"
        found.append(Violation("/batch", "range", detail))
    if request.load.kind is LoadKind.BATCH_SIZES and max(request.load.values) > most:
        detail = f"{max(request.load.values):g} rows; {request.target} takes {most} at most"
        found.append(Violation("/batch_sizes", "range", detail))
    if found:
        raise InvalidInputError(found)


def checked_recording(
    request: PerfRequest, target: Aimed, may_send: MaySend, found: Recording | None = None
) -> Recording | None:
    """The recording that is to be sent, held against who asks, and what the target takes.

    Args:
        found: it, where it was found by its name before: the name may be another one's now.

    Raises:
        InvalidInputError, NotAllowedError, ConflictError.
    """
    if request.input is not Input.RECORDING:
        return None
    with named_at("/input"):
        row = found or get_recording(request.recording)
    if not may_send(row.endpoint):
        raise NotAllowedError(
            f"what callers sent to endpoint {row.endpoint} may be private: to have it sent takes "
            f"{RECORD} on it, as to record it does"
        )
    must_be_ready(row)
    if why := unfit(row.facts, target.inputs, batched=target.max_batch_size > 0):
        detail = f"recording {row.name} does not fit {request.target}: {why}"
        raise InvalidInputError([Violation("/input", "invalid", detail)])
    if request.batch > 1 and (shapes := varied(row.facts)):
        detail = f"its rows have several shapes ({shapes}): they are sent one by one, batch 1"
        raise InvalidInputError([Violation("/batch", "invalid", detail)])
    return row


def _announce(run: PerfRun, queue: Queue) -> None:
    number = run.pk
    # Robust: the record stands, and the sweep finds it when the broker is back.
    transaction.on_commit(lambda: queue.perf_run(run_id=number), robust=True)

"""A perf run, carried out: its turn, its model, level after level, its end.

Nothing here waits for a node: the one that holds a run's models asks for the next look.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Max

from control_plane.domain.perf.input_data import golden_input
from control_plane.domain.perf.levels import Told, next_level, planned
from control_plane.domain.perf.recording import recorded_input
from control_plane.domain.perf.request import Input, PerfRequest
from control_plane.domain.perf.states import PerfState
from control_plane.domain.violations import ConflictError, InvalidInputError, NotFoundError
from control_plane.ports.clock import Clock
from control_plane.ports.load import (
    Aim,
    LoadFailedError,
    LoadGenerator,
    LoadGeneratorMissingError,
    LoadHungError,
    LoadStoppedError,
    Measured,
)
from control_plane.ports.queue import Queue
from control_plane.ports.repository import ArtifactStore
from control_plane.ports.serving import EndpointFacts
from control_plane.ports.triton import TritonMetrics
from control_plane.telemetry.perf import PerfLevel
from control_plane.telemetry.store import TelemetryStore
from control_plane.tuning.ending import finish, keep
from control_plane.tuning.models import PerfRun
from control_plane.tuning.recordings import recorded_requests, still_there
from control_plane.tuning.selectors import next_queued
from control_plane.tuning.targets import aim, examples_document
from control_plane.tuning.usage import Usage

logger = logging.getLogger(__name__)

EVERY_REQUEST = "export.json"

TRIES = 3
"""Of one level: perf_analyzer hangs now and then, and does not when it is asked once more."""

PROVIDED_WITHIN = timedelta(minutes=6)
"""A lease over the fetching of the load generator, which is done once on a machine."""


@dataclass(frozen=True)
class Means:
    """What a run is carried out with."""

    clock: Clock
    queue: Queue
    generator: LoadGenerator
    endpoints: EndpointFacts
    artifacts: ArtifactStore
    recordings: ArtifactStore
    telemetry: TelemetryStore
    metrics_of: Callable[[str], TritonMetrics]


def advance(*, run_id: int, means: Means) -> None:
    """Brings a run as far as it can go now; safe to repeat, by however many at once."""
    run = PerfRun.objects.select_related("server").filter(pk=run_id).first()
    if run is None or run.over:
        return
    if run.server is None:
        finish(run, PerfState.FAILED, f"server {run.server_name} is gone", means.clock, means.queue)
    elif run.state == PerfState.QUEUED:
        _take_turn(run, means)
    elif run.state == PerfState.PREPARING and run.prepared_at:
        _take_on(run, PerfState.PREPARING, means)
    elif run.state == PerfState.CANCELLING and not run.lease_owner:
        finish(run, PerfState.CANCELLED, run.reason, means.clock, means.queue)


def _take_turn(run: PerfRun, means: Means) -> None:
    """Begins where the server is free and nobody waits for longer."""
    if run.server_id is None or (first := next_queued(run.server_id)) is None or first.pk != run.pk:
        return
    if run.plan is None:
        _take_on(run, PerfState.QUEUED, means)
        return
    now = means.clock.now()
    begun = {
        "state": PerfState.PREPARING,
        "reason": f"{run.server_name} is loading {run.physical}",
        "generation": _next_generation(run, now),
        "held": True,
        "started_at": now,
        "sent_at": now,
    }
    if _change(run, PerfState.QUEUED, begun):
        means.queue.perf_command(server=run.server_name, verb="hold", run_id=run.pk)


def _next_generation(run: PerfRun, now: datetime) -> int:
    """Above that of every run before on this server, also where the database is a new one: the
    time in milliseconds. The one after it belongs to the release."""
    before = PerfRun.objects.filter(server=run.server).aggregate(last=Max("generation"))
    return max(int(now.timestamp() * 1000), (before["last"] or 0) + 2)


def _take_on(run: PerfRun, present: PerfState, means: Means) -> None:
    """Measures, unless another worker does already."""
    now, owner = means.clock.now(), uuid.uuid4().hex
    begun = {
        "state": PerfState.RUNNING,
        "reason": "being measured",
        "started_at": run.started_at or now,
        "lease_owner": owner,
        "lease_expires_at": now + PROVIDED_WITHIN,
    }
    if not _change(run, present, begun):
        return
    run.refresh_from_db()
    try:
        reason = _measure(run, means)
    except LoadStoppedError:
        # Cancelled, or given up by the sweep: whichever it was wrote why.
        finish(run, PerfState.CANCELLED, run.reason, means.clock, means.queue, owner=owner)
    except (LoadFailedError, LoadGeneratorMissingError, *_GONE) as error:
        finish(run, PerfState.FAILED, str(error), means.clock, means.queue, owner=owner)
    except Exception as error:
        logger.exception("perf run %s", run.pk)
        said = f"the worker broke on it: {error}"
        finish(run, PerfState.FAILED, said, means.clock, means.queue, owner=owner)
    else:
        finish(run, PerfState.SUCCEEDED, reason, means.clock, means.queue, owner=owner)


_GONE = (NotFoundError, ConflictError, InvalidInputError)
"""What was asked for can be done no more: its target changed meanwhile."""


def _measure(run: PerfRun, means: Means) -> str:
    """Measures every level; returns why there was no further one."""
    means.generator.provide()
    request = run.asked
    to = _aim(run, request, means)
    told: list[Told] = []
    count = planned(request.load)
    while (level := next_level(request, told)).value is not None:
        progress: dict[str, object] = {
            "done": len(told),
            "of": max(count, len(told) + 1),
            "level": level.value,
            "kind": request.load.kind.value,
            "why": level.reason,
        }
        if not keep(run, means.clock, progress):
            raise LoadStoppedError("it was stopped")
        usage = Usage(means.metrics_of, run)

        def goes_on(progress: dict[str, object] = progress, usage: Usage = usage) -> bool:
            usage.sample()
            return keep(run, means.clock, progress)

        measured = _measured(request, level.value, to, means.generator, goes_on)
        if request.input is Input.RECORDING:
            measured = _without_requests(measured)
        means.telemetry.write_perf_level(
            run.key,
            PerfLevel(
                position=len(told),
                value=level.value,
                measured_at=means.clock.now(),
                measurement=measured.measurement,
                cpu=usage.cpu,
                gpu=usage.gpu,
                left_out=measured.left_out,
            ),
            measured.files,
        )
        told.append(Told(level.value, measured.measurement.percentile_us(request.percentile)))
    return level.reason


def _measured(
    request: PerfRequest,
    value: float,
    to: Aim,
    generator: LoadGenerator,
    goes_on: Callable[[], bool],
) -> Measured:
    for _ in range(TRIES - 1):
        try:
            return generator.measure(request, value, to, goes_on=goes_on)
        except LoadHungError as error:
            logger.info("%s at %g: once more", error, value)
    return generator.measure(request, value, to, goes_on=goes_on)


def _without_requests(measured: Measured) -> Measured:
    """Without the file that says of each request what was sent: it is what callers sent."""
    files = {name: file for name, file in measured.files.items() if name != EVERY_REQUEST}
    said = f"{EVERY_REQUEST} may have what callers sent: not kept"
    left_out = "; ".join(part for part in (measured.left_out, said) if part)
    return replace(measured, files=files, left_out=left_out)


def _aim(run: PerfRun, request: PerfRequest, means: Means) -> Aim:
    if run.server is None:
        raise ConflictError(f"server {run.server_name} is gone")
    sent = ""
    if request.input is Input.GOLDEN:
        found = aim(request.target, None, means.endpoints, request.overrides)
        examples = examples_document(found.version, found.inputs, means.artifacts)
        if not examples:
            raise ConflictError(f"{request.target} has no golden examples any more")
        sent = golden_input(examples, batched=found.max_batch_size > 0)
    if request.input is Input.RECORDING:
        found = aim(request.target, None, means.endpoints, request.overrides)
        row = still_there(run.recording, request.recording)
        requests = recorded_requests(row, means.recordings)
        sent = recorded_input(requests, batched=found.max_batch_size > 0)
    return Aim(model=run.physical, http=run.server.http, grpc=run.server.grpc, input_data=sent)


def _change(run: PerfRun, present: PerfState, to: dict[str, object]) -> bool:
    """Changes the run unless somebody else did; False also where its server is taken."""
    try:
        with transaction.atomic():
            rows = PerfRun.objects.filter(pk=run.pk, state=present)
            return bool(rows.update(**to))
    except IntegrityError:
        return False

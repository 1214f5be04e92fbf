"""Asking for tunes, and ending them: record and audit event in one transaction."""

from __future__ import annotations

import os
from typing import Any

from django.db import transaction

from control_plane.audit.services import record
from control_plane.domain.perf.input_data import decided
from control_plane.domain.planning.model_config import BACKENDS, WITHOUT_BATCHES
from control_plane.domain.planning.plan import VersionSpec
from control_plane.domain.serving.hardware import SILENT, HardwareProfile, fitted
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.tuning.configuration import configuration_of
from control_plane.domain.tuning.read_request import read_tune
from control_plane.domain.tuning.request import TuneRequest
from control_plane.domain.tuning.space import Machine, Space, Tunable, space_for
from control_plane.domain.tuning.states import TrialState, TuneState
from control_plane.domain.violations import ConflictError, InvalidInputError, Violation
from control_plane.fleet.models import Server
from control_plane.fleet.selectors import backends_of, get_server, hardware_in_use
from control_plane.ports.clock import Clock
from control_plane.ports.queue import Queue
from control_plane.ports.repository import ArtifactStore
from control_plane.ports.serving import EndpointFacts
from control_plane.registry.models import ModelVersion
from control_plane.registry.pipelines import parts_for
from control_plane.tuning.models import Recording, Tune, TuneTrial
from control_plane.tuning.recordings import kept_there
from control_plane.tuning.services import (
    MaySend,
    cancel_perf_run,
    check_batch,
    check_server,
    checked_recording,
    equipped,
    named_at,
    nothing,
)
from control_plane.tuning.targets import aim, examples_document
from control_plane.tuning.tune_selectors import get_tune

MAX_WAITING = 10
"""Tunes that may wait for one server."""


def start_tune(
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
    reason: str = "",
) -> Tune:
    """Asks for a tune; it begins when no other one is at work on its server.

    Args:
        document: what `domain.tuning.read_request` reads.
        allow_production: the server may be one that is not marked `lab`.
        may_load_production: the actor may say so (`services.LOAD_PRODUCTION`).
        may_send: whether the actor may have the recordings of an endpoint sent.

    Raises:
        InvalidInputError: the request breaks a rule, names what is not there, or cannot be run.
        ConflictError: the server is not there, or not for this; or the version cannot be tuned.
        NotAllowedError: production is to be loaded, or a recording sent, and the actor may not.
    """
    request = read_tune(document)
    with named_at("/server"):
        server = get_server(request.server)
    check_server(server, request.measured, clock.now(), allow_production, may_load_production)
    version, recording = _checked(request, server, endpoints, store, may_send)
    key = (request.target.name, request.target.number or 0)
    spec = parts_for([key], []).versions[key]
    profile = _profile_on(server, spec)
    space = _space(server, spec, profile, request)
    asked = {"allow_production": allow_production, "why": reason, "asked_by": actor}
    with transaction.atomic():
        tune = _add(
            server,
            request,
            version,
            recording=kept_there(recording),
            space=space.to_document(),
            profile=profile.to_document(),
            framework=spec.framework,
            cores=_cores(server),
            **asked,
        )
        record(
            actor=actor,
            action="tune.start",
            object_type="tune",
            object_id=tune.pk,
            object_name=str(tune.target),
            after={"tune": tune.pk, **tune.request, "allow_production": allow_production},
            reason=reason,
        )
        announce_tune(tune, queue)
    return tune


def _checked(
    request: TuneRequest,
    server: Server,
    endpoints: EndpointFacts,
    store: ArtifactStore,
    may_send: MaySend,
) -> tuple[ModelVersion | None, Recording | None]:
    """The version and what is sent, once a perf run could measure it as it is served now."""
    with named_at("/target"):
        target = aim(request.target, equipped(server), endpoints)
    check_batch(request.measured, target)
    recording = checked_recording(request.measured, target, may_send)
    golden = bool(examples_document(target.version, target.inputs, store))
    batched = target.max_batch_size > 0
    decided(request.measured, target.inputs, golden=golden, batched=batched)
    return target.version, recording


def cancel_tune(*, number: int, actor: str, clock: Clock, queue: Queue, reason: str = "") -> Tune:
    """Ends a tune with the trial that it is at; cancelling once more changes nothing.

    Raises:
        NotFoundError: there is no such tune.
        ConflictError: it is over.
    """
    get_tune(number)
    with transaction.atomic():
        tune = Tune.objects.select_for_update().get(pk=number)
        if tune.state in (TuneState.CANCELLING, TuneState.CANCELLED):
            return tune
        if tune.over:
            raise ConflictError(f"tune {number} is over: it {tune.state} ({tune.reason})")
        before = tune.state
        tune.cancelled_by = actor
        tune.reason = f"cancelled by {actor}" + (f": {reason}" if reason else "")
        queued = tune.state == TuneState.QUEUED
        tune.state = TuneState.CANCELLED if queued else TuneState.CANCELLING
        tune.finished_at = clock.now() if queued else None
        tune.save(update_fields=["cancelled_by", "reason", "state", "finished_at"])
        record(
            actor=actor,
            action="tune.cancel",
            object_type="tune",
            object_id=tune.pk,
            object_name=str(tune.target),
            before={"tune": tune.pk, "state": before},
            after={"tune": tune.pk, "state": tune.state},
            reason=reason,
        )
        _cancel_trial(tune, actor, clock, queue)
        announce_tune(tune, queue)
    return tune


def overrides_to_apply(tune: Tune) -> dict[str, Any]:
    """What a tune found, to be laid over how its version is served.

    Raises:
        ConflictError: it did not come to a result, or what is there is as good.
    """
    if tune.state != TuneState.SUCCEEDED or tune.result is None:
        raise ConflictError(f"tune {tune.pk} is {tune.state}: only what it ends with is applied")
    found: dict[str, Any] = tune.result["overrides"]
    if not found:
        raise ConflictError(f"tune {tune.pk} found nothing better than what is there")
    return found


def announce_tune(tune: Tune, queue: Queue) -> None:
    """Asks a worker to look at it, once what was written stands."""
    number = tune.pk
    # Robust: the record stands, and the sweep finds it when the broker is back.
    transaction.on_commit(lambda: queue.tune(tune_id=number), robust=True)


def _cancel_trial(tune: Tune, actor: str, clock: Clock, queue: Queue) -> None:
    at = TuneTrial.objects.filter(tune=tune, state=TrialState.RUNNING, run__isnull=False)
    trial = at.select_related("run").first()
    if trial is None or trial.run is None or trial.run.over:
        return
    said = f"tune {tune.pk} was cancelled"
    cancel_perf_run(number=trial.run.pk, actor=actor, clock=clock, queue=queue, reason=said)


def _add(server: Server, request: TuneRequest, version: ModelVersion | None, **values: Any) -> Tune:
    # Locked: of two who ask at once, one is the last that fits.
    Server.objects.select_for_update().get(pk=server.pk)
    waiting = Tune.objects.filter(server=server, state=TuneState.QUEUED).count()
    if waiting >= MAX_WAITING:
        raise ConflictError(f"{waiting} tunes wait for {server.name} already: cancel some, or wait")
    return Tune.objects.create(
        server=server,
        server_name=server.name,
        name=request.target.name,
        number=request.target.number or 0,
        version=version,
        objective=request.objective,
        request=request.to_document(),
        **values,
    )


def _hardware(server: Server) -> HardwareProfile | None:
    return next((one for one in hardware_in_use() if one.name == server.hardware), None)


def _profile_on(server: Server, spec: VersionSpec) -> ServingProfile:
    """How the version is served there: its profile and overrides, and what its hardware adds.

    Raises:
        ConflictError: it cannot be tuned as it is served.
    """
    if spec.profile is None:  # it was compiled just now
        raise ConflictError(f"{spec.model}:{spec.number} cannot be served: {spec.profile_error}")
    if spec.profile.sequence_batching:
        raise ConflictError(
            f"{spec.model}:{spec.number} keeps states of sequences: the sequence batcher is not "
            "what a tune varies. Measure it with perf runs that have sequences"
        )
    hardware = _hardware(server)
    if hardware is None:
        return spec.profile
    return fitted(spec.profile, spec.framework, frozenset(spec.parameters), hardware)


def _space(
    server: Server, spec: VersionSpec, profile: ServingProfile, request: TuneRequest
) -> Space:
    batched = spec.signature.batched and spec.framework not in WITHOUT_BATCHES
    present = configuration_of(profile, spec.framework, spec.parameters, batched=batched)
    known = {one.name: one.kind for one in backends_of(server) or ()}
    backend = spec.details.backend or BACKENDS.get(spec.framework, "")
    machine = Machine(_cores(server), server.accelerator, known.get(backend))
    version = Tunable(spec.framework, batched, groups=len(profile.instance_group))
    space = space_for(version, present, machine, most_rows=request.most_rows, asked=request.space)
    hardware = _hardware(server)
    if hardware and hardware.instances > 1 and (spec.profile or profile).instance_group == SILENT:
        # One copy is what a profile has that says nothing: the hardware's number would hold.
        space = space.without_one_instance()
    least = max(request.measured.batch, 1)
    if batched and (space := space.with_room_for(least)).max_batch_sizes == ():
        detail = f"no batch in sight has room for a request of {least} rows"
        raise InvalidInputError([Violation("/space/max_batch_size", "range", detail)])
    if len(space.candidates()) < 2:
        why = "; ".join(sorted(set(space.fixed.values()))) or "each dimension has one value"
        raise ConflictError(f"there is nothing to choose from: {why}")
    return space


def _cores(server: Server) -> int:
    return server.cores or os.cpu_count() or 1

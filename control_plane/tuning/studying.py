"""A tune, carried out: trial after trial, each measured by a perf run of its own, and its end.

Nothing here waits: a trial's run tells its tune when it is over, and the tune looks again. What is
next is decided from the records alone, so any worker goes on where another one died.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from control_plane.audit.services import record
from control_plane.domain.perf.request import Input, LoadKind, PerfRequest
from control_plane.domain.perf.states import PerfState
from control_plane.domain.routing.fields import duration_text
from control_plane.domain.tuning.configuration import overrides_for
from control_plane.domain.tuning.request import TuneRequest
from control_plane.domain.tuning.result import result_of
from control_plane.domain.tuning.searching import End, Step, model_of, next_step
from control_plane.domain.tuning.states import TrialKind, TrialState, TuneState
from control_plane.domain.tuning.study import Trial
from control_plane.domain.violations import ConflictError, InvalidInputError, NotAllowedError
from control_plane.ports.clock import Clock
from control_plane.ports.proposals import Searcher
from control_plane.ports.queue import Queue
from control_plane.ports.repository import ArtifactStore
from control_plane.ports.serving import EndpointFacts
from control_plane.telemetry.store import TelemetryStore
from control_plane.tuning.ending import MAX_REASON
from control_plane.tuning.models import Recording, Tune, TuneTrial
from control_plane.tuning.recordings import still_there
from control_plane.tuning.services import start_perf_run
from control_plane.tuning.tune_selectors import next_tune, study_of, whole_tunes
from control_plane.tuning.tunes import announce_tune

logger = logging.getLogger(__name__)

ACTOR = "nereid"


@dataclass(frozen=True)
class TuneMeans:
    """What a tune is carried out with."""

    clock: Clock
    queue: Queue
    endpoints: EndpointFacts
    artifacts: ArtifactStore
    telemetry: TelemetryStore
    searcher: Searcher


def advance_tune(*, tune_id: int, means: TuneMeans) -> None:
    """Brings a tune one step further; safe to repeat, by however many at once."""
    tune = Tune.objects.filter(pk=tune_id).first()
    if tune is None or tune.over:
        return
    if tune.state == TuneState.QUEUED and not _took_turn(tune, means):
        return
    if not _told(tune, means):
        return
    tune = whole_tunes().select_related("server").get(pk=tune_id)
    if tune.over:
        return
    if tune.server is None:
        _finish(tune, TuneState.FAILED, f"server {tune.server_name} is gone", means)
        return
    try:
        _go_on(tune, means)
    except (ConflictError, NotAllowedError, InvalidInputError) as error:
        _finish(tune, TuneState.FAILED, str(error), means)
    except Exception as error:
        logger.exception("tune %s", tune.pk)
        _finish(tune, TuneState.FAILED, f"the worker broke on it: {error}", means, [])


def _took_turn(tune: Tune, means: TuneMeans) -> bool:
    """Begins where no tune is at work on the server, and none waits for longer."""
    if tune.server_id is not None:
        first = next_tune(tune.server_id)
        if first is None or first.pk != tune.pk:
            return False
    begun = {"state": TuneState.RUNNING, "started_at": means.clock.now(), "reason": "at work"}
    try:
        with transaction.atomic():
            rows = Tune.objects.filter(pk=tune.pk, state=TuneState.QUEUED)
            return bool(rows.update(**begun))
    except IntegrityError:
        return False


def _told(tune: Tune, means: TuneMeans) -> bool:
    """Writes down what became of the trial that was being measured; False: it still is."""
    trial = tune.trials.filter(state=TrialState.RUNNING).select_related("run").first()
    if trial is None:
        return True
    run = trial.run
    if run is not None and not run.over:
        return False
    if run is None:
        state, reason = TrialState.FAILED, "its perf run is gone"
    elif run.state == PerfState.SUCCEEDED:
        state, reason = TrialState.MEASURED, run.reason
    else:
        state, reason = TrialState.FAILED, run.reason
    mine = TuneTrial.objects.filter(pk=trial.pk, state=TrialState.RUNNING)
    mine.update(state=state, reason=reason)
    return True


def _go_on(tune: Tune, means: TuneMeans) -> None:
    trials = study_of(tune, means.telemetry)
    if tune.state == TuneState.CANCELLING:
        _finish(tune, TuneState.CANCELLED, tune.reason, means, trials)
        return
    request, space = tune.asked, tune.searched
    since = means.clock.now() - (tune.started_at or means.clock.now())
    found = next_step(
        request,
        space,
        tune.cores,
        trials,
        int(since.total_seconds() * 1e6),
        lambda points: means.searcher.propose(request, space, points),
    )
    if isinstance(found, End):
        state = TuneState.FAILED if found.failed else TuneState.SUCCEEDED
        _finish(tune, state, found.reason, means, trials)
    else:
        _begin(tune, found, len(trials), means)


def _begin(tune: Tune, step: Step, done: int, means: TuneMeans) -> None:
    """The next trial with its perf run, unless another worker was quicker."""
    present = tune.searched.present
    overrides = overrides_for(step.configuration, present, tune.served, tune.framework)
    with transaction.atomic():
        held = Tune.objects.select_for_update().get(pk=tune.pk)
        if held.state != TuneState.RUNNING or held.trials.count() != done:
            return
        trial = TuneTrial.objects.create(
            tune=held,
            number=done + 1,
            kind=step.kind,
            configuration=step.configuration.to_document(),
            overrides=overrides,
            loads=list(step.loads),
            why=step.why,
            expected=step.expected.to_document() if step.expected else None,
        )
        try:
            with transaction.atomic():
                trial.run = start_perf_run(
                    document=_document(tune.asked, step, overrides),
                    actor=ACTOR,
                    clock=means.clock,
                    queue=means.queue,
                    endpoints=means.endpoints,
                    store=means.artifacts,
                    allow_production=held.allow_production,
                    may_load_production=held.allow_production,
                    may_send=lambda _: True,  # whoever asked for the tune was asked for it
                    found=_sent(held),
                    reason=f"trial {trial.number} of tune {tune.pk}",
                )
        except InvalidInputError as error:
            # This configuration cannot be served there; others may.
            trial.state, trial.reason = TrialState.FAILED, str(error)[:MAX_REASON]
            announce_tune(held, means.queue)
        trial.save(update_fields=["run", "state", "reason"])


def _sent(tune: Tune) -> Recording | None:
    request = tune.asked.measured
    if request.input is not Input.RECORDING:
        return None
    return still_there(tune.recording, request.recording)


def _document(request: TuneRequest, step: Step, overrides: dict[str, Any]) -> dict[str, Any]:
    """The perf run of a trial."""
    measured: PerfRequest = request.measured
    document = measured.to_document()
    del document["concurrency"]
    document |= {"percentile": request.percentile, "latency_limit": None}
    loads = [int(one) if one == int(one) else one for one in step.loads]
    if overrides:
        document["overrides"] = overrides
    if step.kind is TrialKind.CALIBRATION:
        return document | {LoadKind.BATCH_SIZES.value: loads, "batch": 1}
    if request.load_kind is LoadKind.REQUEST_RATE:
        return document | {LoadKind.REQUEST_RATE.value: loads, "distribution": "poisson"}
    if request.latency_limit is not None:
        document["latency_limit"] = duration_text(request.latency_limit)
    return document | {LoadKind.CONCURRENCY.value: loads}


def _finish(
    tune: Tune,
    state: TuneState,
    reason: str,
    means: TuneMeans,
    trials: list[Trial] | None = None,
) -> None:
    """Ends a tune that is not over, with what it came to, and asks for the next one's turn."""
    result = _result(tune, trials if trials is not None else study_of(tune, means.telemetry))
    if state == TuneState.SUCCEEDED and result is None:
        state, reason = TuneState.FAILED, f"nothing was measured: {reason}"
    with transaction.atomic():
        present = Tune.objects.select_for_update().get(pk=tune.pk)
        if present.over:
            return
        if present.state == TuneState.CANCELLING:
            state, reason = TuneState.CANCELLED, present.reason
        present.state, present.reason = state, reason[:MAX_REASON]
        present.result = result
        present.finished_at = means.clock.now()
        present.save(update_fields=["state", "reason", "result", "finished_at"])
        record(
            actor=ACTOR,
            action=f"tune.{state}",
            object_type="tune",
            object_id=present.pk,
            object_name=str(present.target),
            after={"tune": present.pk, "state": state},
            reason=present.reason,
        )
        transaction.on_commit(lambda: _following(present, means.queue), robust=True)


def _result(tune: Tune, trials: list[Trial]) -> dict[str, Any] | None:
    request, space = tune.asked, tune.searched
    calibrated = any(one.kind is TrialKind.CALIBRATION for one in trials)
    measured = trials and trials[0].levels
    model = model_of(request, space, tune.cores, trials) if calibrated and measured else None
    return result_of(request, space, trials, tune.served, tune.framework, model)


def _following(tune: Tune, queue: Queue) -> None:
    following = next_tune(tune.server_id) if tune.server_id else None
    if following is not None:
        queue.tune(tune_id=following.pk)

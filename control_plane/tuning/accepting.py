"""Perf runs that somebody accepted: what a later version is held against."""

from __future__ import annotations

from django.db import transaction

from control_plane.audit.services import record
from control_plane.domain.analysis.evidence import LevelBeside, PerfBeside
from control_plane.domain.perf.request import TargetKind
from control_plane.domain.perf.states import PerfState
from control_plane.domain.perf.summary import STEADY
from control_plane.domain.violations import ConflictError
from control_plane.ports.clock import Clock
from control_plane.telemetry.perf import PerfLevel
from control_plane.telemetry.store import TelemetryStore
from control_plane.tuning.models import PerfRun
from control_plane.tuning.results import levels_of, with_levels
from control_plane.tuning.selectors import as_served, get_perf_run

_SAME = ("protocol", "batch", "streaming", "shared_memory")
"""What two requests have to have alike, beside their server and kind of load."""


def accept_perf_run(*, number: int, actor: str, clock: Clock, reason: str = "") -> PerfRun:
    """Says that a run's figures are good: the measure for later versions until another is accepted.

    Accepting once more changes nothing.

    Raises:
        NotFoundError: there is no such run.
        ConflictError: it did not succeed, or is not of a version.
    """
    get_perf_run(number)
    with transaction.atomic():
        run = PerfRun.objects.select_for_update().get(pk=number)
        if run.accepted_at is not None:
            return run
        if run.state != PerfState.SUCCEEDED:
            raise ConflictError(f"perf run {number} {run.state}: only what succeeded is accepted")
        if run.kind != TargetKind.VERSION:
            raise ConflictError(f"perf run {number} is of no version: nothing is held against it")
        run.accepted_at, run.accepted_by = clock.now(), actor
        run.save(update_fields=["accepted_at", "accepted_by"])
        record(
            actor=actor,
            action="perf_run.accept",
            object_type="perf_run",
            object_id=run.pk,
            object_name=str(run.target),
            after={"run": run.pk, "accepted_at": run.accepted_at.isoformat()},
            reason=reason,
        )
    return run


def beside_accepted(model: str, version: int, store: TelemetryStore) -> PerfBeside:
    """A version's last run beside the last run of its model that was accepted, level by level.

    Only runs of one server, under one kind of load and asked in one way are held against each
    other; levels that were unsteady in either are left out.
    """
    done = as_served().filter(kind=TargetKind.VERSION, name=model, state=PerfState.SUCCEEDED)
    mine = done.filter(number=version).first()
    if mine is None:
        how = f"nereid perf run {model}.v{version}"
        return PerfBeside(problem=f"{model} v{version} has no perf run that succeeded: {how}")
    accepted = list(done.exclude(accepted_at=None).exclude(pk=mine.pk))
    accepted.sort(key=lambda run: (run.accepted_at, run.pk), reverse=True)
    fit = next((run for run in accepted if _alike(run, mine)), None)
    if fit is None:
        why = "no other run of the model is accepted"
        if accepted:
            why = "no accepted run is of that server, and asked in that way"
        problem = f"nothing to hold perf run {mine.pk} against: {why} (nereid perf accept)"
        return PerfBeside(problem=problem)
    with_levels([mine, fit], store)
    return _compared(mine, fit)


def _compared(mine: PerfRun, accepted: PerfRun) -> PerfBeside:
    words = f"perf run {mine.pk} beside run {accepted.pk}, which was accepted"
    before = {level.value: level for level in levels_of(accepted) if _steady(level)}
    shared = [one for one in levels_of(mine) if _steady(one) and one.value in before]
    if not shared:
        problem = f"{words}: no level of load was measured steadily in both"
        return PerfBeside(problem=problem)
    return PerfBeside(tuple(_level(one, before[one.value]) for one in shared), words)


def _level(mine: PerfLevel, accepted: PerfLevel) -> LevelBeside:
    now, before = mine.measurement, accepted.measurement
    return LevelBeside(
        name=f"{mine.value:g}",
        slower=now.p99_us / before.p99_us,
        less=before.throughput / now.throughput,
    )


def _steady(level: PerfLevel) -> bool:
    found = level.measurement
    return found.spread <= STEADY and found.p99_us > 0 and found.throughput > 0


def _alike(run: PerfRun, other: PerfRun) -> bool:
    same = all(run.request.get(field) == other.request.get(field) for field in _SAME)
    loads = run.asked.load.kind, other.asked.load.kind
    return same and run.server_name == other.server_name and loads[0] == loads[1]

"""Perf runs, tunes and recordings that nobody looks after: their message is lost, their worker
dead, or they wait."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

from control_plane.domain.perf.recording import GOING_ON
from control_plane.domain.perf.states import ACTIVE, OVER, PerfState
from control_plane.ports.clock import Clock
from control_plane.ports.queue import Queue
from control_plane.tuning.ending import finish
from control_plane.tuning.models import PerfRun, Recording
from control_plane.tuning.recording_node import end_what_nobody_carries_out
from control_plane.tuning.tune_selectors import tunes_to_look_at

LOST = timedelta(seconds=20)
"""A command older than this is dropped by the broker (`adapters.queue.COMMAND_EXPIRY_S`)."""

PREPARED_WITHIN = timedelta(minutes=15)
"""A model that takes longer to load is not waited for."""


def sweep(*, clock: Clock, queue: Queue) -> None:
    """Ends what cannot go on, sends again what was lost, and asks for those whose turn it is."""
    now = clock.now()
    _end_what_is_dead(now, clock, queue)
    for run in PerfRun.objects.filter(state=PerfState.PREPARING, prepared_at=None).filter(
        _lost(now)
    ):
        _send(run, "hold", now, queue)
    for run in PerfRun.objects.filter(state__in=OVER, held=True).filter(_lost(now)):
        if run.server_id is None:  # forgotten with all that it held
            PerfRun.objects.filter(pk=run.pk).update(held=False)
        else:
            _send(run, "release", now, queue)
    for number in _waiting():
        queue.perf_run(run_id=number)
    for number in tunes_to_look_at():
        queue.tune(tune_id=number)
    end_what_nobody_carries_out(clock)
    for row in Recording.objects.filter(state__in=GOING_ON):
        queue.recording(server=row.server_name, recording_id=row.pk, key=row.key.hex)


def _end_what_is_dead(now: datetime, clock: Clock, queue: Queue) -> None:
    slow = PerfRun.objects.filter(
        state=PerfState.PREPARING, started_at__lte=now - PREPARED_WITHIN, prepared_at=None
    )
    for run in slow:
        minutes = PREPARED_WITHIN.seconds // 60
        said = f"{run.server_name} did not load {run.physical} within {minutes} minutes"
        finish(run, PerfState.FAILED, said, clock, queue)
    dead = PerfRun.objects.filter(
        state__in=[PerfState.RUNNING, PerfState.CANCELLING], lease_expires_at__lte=now
    )
    for run in dead:
        said = "the worker that measured it is gone; what it had measured is here. Start it again"
        finish(run, PerfState.FAILED, said, clock, queue)


def _waiting() -> list[int]:
    """Those that a worker should look at: the first for each server that is free, and what is
    ready to go on."""
    first = (
        PerfRun.objects.filter(state=PerfState.QUEUED)
        .exclude(server__perf_runs__state__in=ACTIVE)
        .order_by("server_id", "id")
        .distinct("server_id")
        .values_list("pk", flat=True)
    )
    ready = PerfRun.objects.filter(
        Q(state=PerfState.PREPARING, prepared_at__isnull=False)
        | Q(state=PerfState.CANCELLING, lease_owner="")
        | Q(state__in=[PerfState.PREPARING, PerfState.RUNNING], server=None)
    ).values_list("pk", flat=True)
    return [*first, *ready]


def _lost(now: datetime) -> Q:
    return Q(sent_at=None) | Q(sent_at__lte=now - LOST)


def _send(run: PerfRun, verb: str, now: datetime, queue: Queue) -> None:
    PerfRun.objects.filter(pk=run.pk).update(sent_at=now)
    queue.perf_command(server=run.server_name, verb=verb, run_id=run.pk)

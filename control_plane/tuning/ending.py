"""Keeping a run's lease, and its end: written once, told, and its server let go."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.db import transaction

from control_plane.audit.services import record
from control_plane.domain.perf.states import PerfState
from control_plane.ports.clock import Clock
from control_plane.ports.queue import Queue
from control_plane.tuning.models import PerfRun, TuneTrial
from control_plane.tuning.selectors import next_queued
from control_plane.webhooks.outbox import tell

LEASE = timedelta(seconds=15)
"""Whoever measures says every second that it lives: a lease older than this is a dead one's."""

MAX_REASON = 2000


def keep(run: PerfRun, clock: Clock, progress: Mapping[str, object]) -> bool:
    """Goes on holding the run, and says how far it is; False where it is not to go on."""
    mine = PerfRun.objects.filter(pk=run.pk, state=PerfState.RUNNING, lease_owner=run.lease_owner)
    return bool(mine.update(lease_expires_at=clock.now() + LEASE, progress=dict(progress)))


def finish(
    run: PerfRun,
    state: PerfState,
    reason: str,
    clock: Clock,
    queue: Queue,
    *,
    owner: str | None = None,
) -> bool:
    """Ends a run that is not over, and lets its server go; False where somebody else did.

    One that is being cancelled is cancelled, however far it came meanwhile.

    Args:
        owner: the lease that has to stand; None: whoever holds it is given up.
    """
    with transaction.atomic():
        present = PerfRun.objects.select_for_update().filter(pk=run.pk).first()
        if present is None or present.over:
            return False
        if owner is not None and present.lease_owner != owner:
            return False
        if present.state == PerfState.CANCELLING:
            state, reason = PerfState.CANCELLED, present.reason
        present.state = state
        present.reason = reason[:MAX_REASON]
        present.finished_at = clock.now()
        present.lease_owner, present.lease_expires_at = "", None
        present.save(
            update_fields=["state", "reason", "finished_at", "lease_owner", "lease_expires_at"]
        )
        record(
            actor="nereid",
            action=f"perf_run.{state}",
            object_type="perf_run",
            object_id=present.pk,
            object_name=str(present.target),
            after={"run": present.pk, "state": state},
            reason=present.reason,
        )
        tell_finished(present, clock)
        # Robust: the sweep finds what the broker did not take.
        transaction.on_commit(lambda: _let_go(present, queue), robust=True)
    return True


def tell_finished(run: PerfRun, clock: Clock) -> None:
    """Tells the webhooks that a run is over; call it in the transaction that ends it."""
    subject = {
        "perf_run": run.pk,
        "state": str(run.state),
        "kind": run.kind,
        "name": run.name,
        "number": run.number,
        "server": run.server_name,
    }
    tell("perf_run.finished", at=clock.now(), subject=subject, reason=run.reason)


def _let_go(run: PerfRun, queue: Queue) -> None:
    if run.held:
        queue.perf_command(server=run.server_name, verb="release", run_id=run.pk)
    # A trial's end is what its tune waits for.
    for trial in TuneTrial.objects.filter(run=run.pk).values_list("tune_id", flat=True):
        queue.tune(tune_id=trial)
    following = next_queued(run.server_id) if run.server_id else None
    if following is not None:
        queue.perf_run(run_id=following.pk)

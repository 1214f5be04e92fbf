"""Reading perf runs."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import QuerySet

from control_plane.domain.perf.request import TargetKind
from control_plane.domain.perf.states import ACTIVE, PerfState
from control_plane.domain.violations import NotFoundError
from control_plane.tuning.models import PerfRun


def perf_runs() -> QuerySet[PerfRun]:
    """Every run for a list, newest first, without what is long: its plan."""
    return PerfRun.objects.defer("plan")


def as_served() -> QuerySet[PerfRun]:
    """Runs that say how what they measured is served: none with overrides, as trials of tunes have,
    and none of batch sizes."""
    return perf_runs().filter(request__overrides__isnull=True, request__batch_sizes__isnull=True)


def get_perf_run(number: int) -> PerfRun:
    """The run of that number.

    Raises:
        NotFoundError: there is none.
    """
    run = perf_runs().filter(pk=number).first()
    if run is None:
        raise NotFoundError(f"there is no perf run {number}: nereid perf list shows them")
    return run


def latest_of_versions(version_ids: Iterable[UUID]) -> dict[UUID, PerfRun]:
    """Version -> its newest run that succeeded, in one query; without entry: none did."""
    rows = (
        as_served()
        .filter(
            version_id__in=list(version_ids),
            kind=TargetKind.VERSION,
            state=PerfState.SUCCEEDED,
        )
        .order_by("version_id", "-id")
        .distinct("version_id")
    )
    return {row.version_id: row for row in rows if row.version_id is not None}


def next_queued(server_id: UUID) -> PerfRun | None:
    """Whose turn it is on a server; None while one is at work, or none waits."""
    mine = PerfRun.objects.filter(server_id=server_id)
    if mine.filter(state__in=ACTIVE).exists():
        return None
    return mine.filter(state=PerfState.QUEUED).order_by("id").first()

"""Reading tunes."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet

from control_plane.domain.perf.states import OVER
from control_plane.domain.tuning.states import AT_WORK, TrialState, TuneState
from control_plane.domain.tuning.study import Level, Trial
from control_plane.domain.violations import NotFoundError
from control_plane.telemetry.store import TelemetryStore
from control_plane.tuning.models import PerfRun, Tune, TuneTrial
from control_plane.tuning.results import levels_of, with_levels


def tunes() -> QuerySet[Tune]:
    """Every tune for a list, newest first."""
    return Tune.objects.all()


def whole_tunes() -> QuerySet[Tune]:
    """Tunes with their trials and those's runs, in three queries whatever their number."""
    runs = PerfRun.objects.defer("plan")
    trials = TuneTrial.objects.order_by("number").prefetch_related(Prefetch("run", runs))
    return Tune.objects.prefetch_related(Prefetch("trials", trials))


def get_tune(number: int, among: QuerySet[Tune] | None = None) -> Tune:
    """The tune of that number.

    Raises:
        NotFoundError: there is none.
    """
    found = (tunes() if among is None else among).filter(pk=number).first()
    if found is None:
        raise NotFoundError(f"there is no tune {number}: nereid tune list shows them")
    return found


def study_of(tune: Tune, store: TelemetryStore) -> list[Trial]:
    """The trials of a tune as values, with what they measured.

    What a failed run measured before it failed counts.
    """
    rows = list(tune.trials.all())
    runs = with_levels([row.run for row in rows if row.run is not None], store)
    levels = {
        run.pk: tuple(Level(level.value, level.measurement) for level in levels_of(run))
        for run in runs
    }
    return [_trial(row, levels.get(row.run_id or 0, ())) for row in rows]


def next_tune(server_id: UUID) -> Tune | None:
    """Whose turn it is on a server; None while one is at work, or none waits."""
    mine = Tune.objects.filter(server_id=server_id)
    if mine.filter(state__in=AT_WORK).exists():
        return None
    return mine.filter(state=TuneState.QUEUED).order_by("id").first()


def tunes_to_look_at() -> Sequence[int]:
    """Those that a worker should look at: the first for each server that is free, and those at
    work of whose trials none is being measured."""
    first = (
        Tune.objects.filter(state=TuneState.QUEUED)
        .exclude(server__tunes__state__in=AT_WORK)
        .order_by("server_id", "id")
        .distinct("server_id")
        .values_list("pk", flat=True)
    )
    measured = TuneTrial.objects.filter(
        ~Q(run__state__in=[state.value for state in OVER]),
        tune=OuterRef("pk"),
        state=TrialState.RUNNING,
        run__isnull=False,
    )
    idle = Tune.objects.filter(~Exists(measured), state__in=AT_WORK).values_list("pk", flat=True)
    return [*first, *idle]


def _trial(row: TuneTrial, levels: tuple[Level, ...]) -> Trial:
    return Trial(
        number=row.number,
        kind=row.purpose,
        configuration=row.tried,
        loads=tuple(row.loads),
        levels=levels,
        failed=row.reason if row.state == TrialState.FAILED else "",
        over=row.state != TrialState.RUNNING,
    )

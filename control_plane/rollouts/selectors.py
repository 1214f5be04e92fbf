"""Reading rollouts."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet

from control_plane.analysis.models import AnalysisRun
from control_plane.domain.rollout.document import HarmBudget, Wanted, to_document
from control_plane.domain.rollout.snapshot import LOOK
from control_plane.domain.rollout.states import State
from control_plane.domain.routing.policy import SECOND
from control_plane.domain.violations import NotFoundError
from control_plane.rollouts.models import Rollout, RolloutEvent, RolloutRun


def rollouts() -> QuerySet[Rollout]:
    """Every rollout, the newest first."""
    return Rollout.objects.select_related("endpoint")


def get_rollout(rollout_id: UUID) -> Rollout:
    """The rollout of that id.

    Raises:
        NotFoundError: there is none.
    """
    found = rollouts().filter(id=rollout_id).first()
    if found is None:
        raise NotFoundError(f"there is no rollout {rollout_id}")
    return found


def endpoint_of(rollout_id: UUID | str) -> str | None:
    """The name of the endpoint that a rollout is at; None: there is no such rollout."""
    found = Rollout.objects.filter(id=rollout_id).values_list("endpoint_name", flat=True)
    return found.first()


def candidate_share(rollout: Rollout) -> float | None:
    """The percent of the endpoint's requests that the policy it wrote last gives the candidate.

    None: it has written none.
    """
    if rollout.written is None:
        return None
    name, number = ("pipeline", "revision") if rollout.pipeline else ("model", "version")
    key = (rollout.model, rollout.version)
    mine = (arm for arm in rollout.written["arms"] if (arm.get(name), arm.get(number)) == key)
    return float(sum(arm["weight"] for arm in mine))


def step_standing(rollout: Rollout, step: int) -> str:
    """Whether that step is done, the current one, where it was stopped, or still ahead."""
    if step < rollout.step or rollout.state == State.PROMOTED:
        return "done"
    if step > rollout.step or not rollout.begun:
        return "ahead"
    over = not rollout.active or rollout.state == State.ROLLING_BACK
    return "stopped" if over else "current"


def active_rollouts() -> QuerySet[Rollout]:
    """Those under way, and those that are promoted and still watched."""
    return rollouts().filter(finished_at=None)


def active_rollout(endpoint: str) -> Rollout | None:
    """The one that is under way at the endpoint of that name: there is at most one."""
    return active_rollouts().filter(endpoint_name=endpoint).first()


def due_rollouts(now: datetime) -> QuerySet[Rollout]:
    """Those whose time to be looked at has come.

    No look is put off for long: one that is was so before a clock was set back.
    """
    due = Q(look_at=None) | Q(look_at__lte=now) | Q(look_at__gt=now + 60 * LOOK)
    return Rollout.objects.filter(finished_at=None).filter(due)


def events_of(rollout: Rollout) -> QuerySet[RolloutEvent]:
    """Everything that happened to it, in order."""
    return rollout.events.order_by("number")


def runs_of(rollout: Rollout) -> QuerySet[RolloutRun]:
    """Its analysis runs with the step that each belongs to, the first one first."""
    links = rollout.run_links.select_related("run")
    return links.order_by("run__began_at", "run__template_name")


def with_runs(rows: QuerySet[Rollout]) -> QuerySet[Rollout]:
    """Rollouts with their runs fetched, without what the tests remember: for a list or a page."""
    runs = AnalysisRun.objects.defer("state", "cursors")
    links = RolloutRun.objects.prefetch_related(Prefetch("run", runs))
    return rows.prefetch_related(Prefetch("run_links", links))


def document_of(rollout: Rollout) -> dict[str, Any]:
    """What was asked for, with every value in force, as it may be sent again."""
    number = "revision" if rollout.pipeline else "version"
    kind = "pipeline" if rollout.pipeline else "model"
    return to_document(
        Wanted(
            endpoint=rollout.endpoint_name,
            to={kind: rollout.model, number: rollout.version},
            strategy=rollout.plan,
            harm=HarmBudget(rollout.harm_budget, rollout.confidence),
            watch=round(rollout.watch_seconds * SECOND),
            progress_deadline=round(rollout.progress_deadline_seconds * SECOND),
            dry_run=rollout.dry_run,
        )
    )

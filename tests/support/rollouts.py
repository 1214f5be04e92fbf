"""Rollouts with evidence: the looks are the domain's own, on requests that are made up."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from control_plane.adapters.clock import SystemClock
from control_plane.analysis.models import AnalysisLook, AnalysisRun
from control_plane.analysis.selectors import get_template
from control_plane.domain.analysis.evidence import ArmEvidence, Evidence
from control_plane.domain.analysis.looking import begin, look
from control_plane.domain.analysis.looks import Phase
from control_plane.domain.analysis.template import read_template
from control_plane.domain.rollout.states import Event
from control_plane.ports.queue import Queue
from control_plane.rollouts.models import Rollout, RolloutRun
from control_plane.rollouts.recording import happen
from control_plane.rollouts.services import start_rollout
from control_plane.wiring import print_config


def started(
    endpoint: str, version: int, *, queue: Queue, actor: str = "ada", **more: Any
) -> Rollout:
    """A rollout of that version of `digits`, as the service starts it."""
    to = {"model": "digits", "version": version}
    return start_rollout(
        document={"endpoint": endpoint, "to": to, **more},
        actor=actor,
        queue=queue,
        print_config=print_config,
        clock=SystemClock(),
    )


def analysing(rollout: Rollout, *, step: int = 1, budget_spent: int = 0) -> Rollout:
    """That rollout at an analysis of its steps; its traffic has not moved for it."""
    assert rollout.endpoint is not None
    now = SystemClock().now()
    rollout.found = rollout.written = rollout.endpoint.policy
    rollout.generation = rollout.endpoint.generation
    rollout.granted_each, rollout.granted_servers = rollout.harm_budget, 1
    for event, reason in (
        (Event.BEGIN, f"loads {rollout.to} on every server"),
        (Event.ARRIVED, f"{rollout.to} is loaded"),
        (Event.ANALYSE, "default measures"),
    ):
        happen(rollout, event, reason=reason, now=now)
    rollout.step, rollout.step_since, rollout.harm_spent = step, now, budget_spent
    rollout.look_at = now + timedelta(seconds=1)
    rollout.save()
    return rollout


def measured(
    rollout: Rollout,
    *,
    began: datetime,
    step: int = 1,
    looks: int = 60,
    every: timedelta = timedelta(seconds=1),
    rates: tuple[float, float] = (0.01, 0.01),
    requests: tuple[int, int] = (40, 360),
    template: str = "default",
    feedback: dict[str, tuple[float, float]] | None = None,
) -> AnalysisRun:
    """A run of that rollout with its looks, on requests that fail with these rates.

    Args:
        rates, requests: of the candidate and of the baseline; requests are those of one look.
        feedback: outcome -> the share of the candidate's and of the baseline's answers that had it.
    """
    known = get_template(template)
    read, dice = read_template(dict(known.document)), random.Random(rollout.number)
    run = AnalysisRun.objects.create(
        endpoint=rollout.endpoint_name,
        template_name=template,
        template_revision=known.revision,
        template=dict(known.document),
        candidate=f"{rollout.model}.v{rollout.version}.286f74",
        baseline=f"{rollout.model}.v1.234270",
        dry_run=rollout.dry_run,
        began_at=began,
    )
    RolloutRun.objects.create(rollout=rollout, run=run, step=step, attempt=rollout.attempt)
    state, rows, at = begin(read, began), [], began

    def arm(which: int) -> ArmEvidence:
        count = requests[which]
        failed = sum(dice.random() < rates[which] for _ in range(count))
        said = {
            outcome: (count, sum(dice.random() < shares[which] for _ in range(count)))
            for outcome, shares in (feedback or {}).items()
        }
        return ArmEvidence(attempts=count, failures=failed, feedback=said)

    for _ in range(looks):
        at += every
        state, found = look(read, state, Evidence(every.total_seconds(), arm(0), arm(1)), at)
        document: dict[str, Any] = found.to_document()
        rows.append(AnalysisLook(run=run, number=found.number, at=at, document=document))
        if found.phase is not Phase.RUNNING:
            break
    AnalysisLook.objects.bulk_create(rows)
    run.looks_taken, run.looked_at, run.phase, run.reason = len(rows), at, found.phase, found.reason
    run.ended_at = at if found.phase is not Phase.RUNNING else None
    run.save()
    return run

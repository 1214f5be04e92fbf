"""Rollouts with evidence: the looks are the domain's own, on requests that are made up."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from control_plane.adapters.clock import SystemClock
from control_plane.analysis.models import AnalysisLook, AnalysisRun
from control_plane.analysis.selectors import get_template
from control_plane.domain.analysis.evidence import ArmEvidence, Evidence, Told
from control_plane.domain.analysis.looking import begin, look
from control_plane.domain.analysis.looks import Phase
from control_plane.domain.analysis.metric import Kind, Metric
from control_plane.domain.analysis.template import Template, read_template
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


@dataclass(frozen=True)
class Made:
    """Evidence that is made up: one look's requests on either arm (the candidate's first).

    `rates` are shares that fail, `feedback` outcome -> shares of the answers that had it, `waits`
    how many microseconds a request waits in the mean, and `told` metric of PromQL -> its figures,
    or of counters the shares of bad ones.
    """

    rates: tuple[float, float] = (0.01, 0.01)
    requests: tuple[int, int] = (40, 360)
    feedback: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    waits: tuple[float, float] | None = None
    told: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def evidence(self, template: Template, seconds: float, dice: random.Random) -> Evidence:
        """What a look finds new."""
        candidate, baseline = (self._arm(which, dice) for which in (0, 1))
        asked = [metric for metric in template.metrics if metric.kind is Kind.PROMQL]
        told = {
            metric.name: Told(seconds, *(self._said(metric, which, dice) for which in (0, 1)))
            for metric in asked
        }
        return Evidence(seconds, candidate, baseline, told=told)

    def _arm(self, which: int, dice: random.Random) -> ArmEvidence:
        count = self.requests[which]
        failed = sum(dice.random() < self.rates[which] for _ in range(count))
        said = {
            outcome: (count, sum(dice.random() < shares[which] for _ in range(count)))
            for outcome, shares in self.feedback.items()
        }
        queue = (0, 0)
        if self.waits is not None:
            queue = (round(count * self.waits[which] * dice.lognormvariate(0, 0.3)), count)
        return ArmEvidence(count, failed, feedback=said, queue=queue)

    def _said(self, metric: Metric, which: int, dice: random.Random) -> tuple[float, float]:
        figure = self.told[metric.name][which]
        if not metric.of:
            return figure * dice.lognormvariate(0, 0.2), 1
        count = self.requests[which]
        return count, sum(dice.random() < figure for _ in range(count))


def measured(
    rollout: Rollout,
    *,
    began: datetime,
    step: int = 1,
    looks: int = 60,
    every: timedelta = timedelta(seconds=1),
    made: Made = Made(),
    template: str = "default",
) -> AnalysisRun:
    """A run of that rollout with its looks, on evidence that is made up."""
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

    for _ in range(looks):
        at += every
        state, found = look(read, state, made.evidence(read, every.total_seconds(), dice), at)
        document: dict[str, Any] = found.to_document()
        rows.append(AnalysisLook(run=run, number=found.number, at=at, document=document))
        if found.phase is not Phase.RUNNING:
            break
    AnalysisLook.objects.bulk_create(rows)
    run.looks_taken, run.looked_at, run.phase, run.reason = len(rows), at, found.phase, found.reason
    run.ended_at = at if found.phase is not Phase.RUNNING else None
    run.save()
    return run

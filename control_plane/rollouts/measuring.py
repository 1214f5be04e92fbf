"""A rollout's analysis runs, and the harm that its candidate did; call all in a transaction."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from control_plane.analysis.measuring import begin_run, look_at_run, stop_run
from control_plane.analysis.models import AnalysisRun
from control_plane.analysis.models import Phase as RunPhase
from control_plane.analysis.selectors import all_templates, get_template
from control_plane.domain.analysis.evidence import PerfBeside
from control_plane.domain.analysis.looks import Phase
from control_plane.domain.analysis.metric import Compare
from control_plane.domain.analysis.template import OnInconclusive
from control_plane.domain.planning.plan import Plan
from control_plane.domain.rollout.snapshot import Harm, Measured
from control_plane.domain.rollout.states import State
from control_plane.domain.rollout.steps import Analysis, Ramp
from control_plane.endpoints.budgets import objectives
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.selectors import latest_plan
from control_plane.fleet.models import Server
from control_plane.rollouts.models import Rollout, RolloutRun
from control_plane.rollouts.moving import found_policy
from control_plane.telemetry.evidence import FailuresLeft
from control_plane.telemetry.store import TelemetryStore
from control_plane.tuning.accepting import beside_accepted

WATCH_PARTS = 8
"""So many runs, at most, where nothing goes wrong: one after another."""

_OF_LATE = 0.9
"""How much of the rate of before still counts at the next look."""


def look_at_runs(rollout: Rollout, store: TelemetryStore, now: datetime) -> None:
    """Takes a look of each run that is under way."""
    for run in AnalysisRun.objects.filter(link__rollout=rollout, ended_at=None):
        look_at_run(run, store=store, now=now, perf=lambda: _perf_of(rollout, store))


def _perf_of(rollout: Rollout, store: TelemetryStore) -> PerfBeside:
    if rollout.pipeline or rollout.to.version is None:
        return PerfBeside(problem="perf runs of pipelines are not compared")
    return beside_accepted(rollout.to.model, rollout.to.version, store)


def measure(rollout: Rollout, endpoint: Endpoint, now: datetime) -> None:
    """Begins the runs of the present step, or of the watch, that are not under way or done.

    What is good at a step stays so. The watch is measured in parts: a run that has seen much good
    would need as much bad to be turned round, so each part is a run of its own.
    """
    plan = latest_plan(endpoint)
    if plan is None:
        return
    physical = {planned.arm.place: planned.physical for planned in plan.arms}
    primary = found_policy(rollout).primary
    watching = rollout.state == State.PROMOTED
    present = _latest(rollout)
    kept = (RunPhase.RUNNING,) if watching else (RunPhase.RUNNING, RunPhase.SUCCESSFUL)
    for name in _templates(rollout):
        if name in present and present[name].phase in kept:
            continue
        known = get_template(name)
        run = begin_run(
            endpoint=rollout.endpoint_name,
            known=known,
            alpha=known.template.alpha * _share(rollout, name),
            objective=objectives([endpoint]).get(endpoint.name),
            candidate=physical[rollout.to.key],
            baseline=physical[primary.key],
            twin=physical.get(replace(primary, twin=True).place, ""),
            dry_run=rollout.dry_run,
            now=now,
            passes_from=now + _watch_part(rollout) if watching else None,
        )
        RolloutRun.objects.create(
            rollout=rollout, run=run, step=rollout.step, attempt=rollout.attempt
        )


def wants_twin(rollout: Rollout) -> bool:
    """Whether a template that it measures by compares with a twin, and there can be one.

    A pipeline shares its members, so a second one would be no twin.
    """
    if rollout.pipeline or found_policy(rollout).primary.pipeline:
        return False
    plan = rollout.plan
    measuring = (step for step in plan.steps if isinstance(step, Analysis | Ramp))
    names = {name for step in measuring for name in step.templates}
    if rollout.watch_seconds:
        names |= set(plan.watch)
    known = (one for one in all_templates() if one.name in names)
    return any(m.compare is Compare.TWIN for one in known for m in one.template.metrics)


def stop_measuring(rollout: Rollout, reason: str, now: datetime) -> None:
    """Ends what runs."""
    for run in AnalysisRun.objects.filter(link__rollout=rollout, ended_at=None):
        stop_run(run, reason=reason, now=now)


def measured(rollout: Rollout) -> tuple[Measured, ...]:
    """The newest run of each template at the present step, without those that were stopped."""
    return tuple(
        Measured(
            template=run.template_name,
            phase=Phase(run.phase),
            reason=run.reason,
            on_inconclusive=OnInconclusive(run.template["onInconclusive"]),
            counts=not run.dry_run,
        )
        for run in _latest(rollout).values()
        if run.phase != RunPhase.STOPPED
    )


def count_harm(rollout: Rollout, endpoint: Endpoint, store: TelemetryStore) -> Harm:
    """What failed on the candidate since it was granted its budget, and what is left of that.

    Notes on the rollout what counts as spent: what failed, and what servers had left that were
    started anew. What failed is what the routers took off the budget, where that is more than what
    was counted: a scrape that reaches back before the grant is not counted, and a failure that the
    primary makes good for is counted only when that has ended.
    """
    plan = latest_plan(endpoint)
    candidate = candidate_of(rollout, endpoint)
    began = rollout.granted_at
    if plan is None or not candidate or not rollout.granted_each or began is None:
        return Harm(0, 0, None)
    _count(rollout, plan, candidate, began, store)
    left = _left_of_grant(rollout, candidate, began, store)
    granted = rollout.granted_each * rollout.granted_servers
    happened = sum(max(0, rollout.granted_each - one.not_happened) for one in left.values())
    gone = sum(max(0, rollout.granted_each - one.usable) for one in left.values())
    now_spent = rollout.harm_before + max(gone, rollout.failed_seen)
    rollout.harm_spent = max(rollout.harm_spent, now_spent)
    rollout.save()
    known = len(left) >= rollout.granted_servers
    usable = sum(one.usable for one in left.values()) if known else None
    return Harm(granted, max(happened, rollout.failed_seen), usable)


def charge_late_failures(rollout: Rollout, store: TelemetryStore) -> None:
    """Charges what the attempt before did after it was looked at last, before there is a new grant.

    A request that was under way when it was taken back may fail after the last scrape.
    """
    began = rollout.granted_at
    if rollout.state != State.PENDING or began is None or not rollout.candidate:
        return
    grown = store.growth(rollout.endpoint_name, [rollout.candidate], began, rollout.harm_cursors)
    rollout.harm_cursors = grown.cursors
    rollout.harm_before += grown.arms[rollout.candidate].failures
    rollout.harm_spent = max(rollout.harm_spent, rollout.harm_before)
    rollout.save()


def candidate_of(rollout: Rollout, endpoint: Endpoint) -> str:
    """The physical model of the candidate in the endpoint's newest plan; empty: it is not there."""
    plan = latest_plan(endpoint)
    arms = [p.physical for p in plan.arms if p.arm.place == rollout.to.place] if plan else []
    return arms[0] if arms else ""


def _left_of_grant(
    rollout: Rollout, candidate: str, began: datetime, store: TelemetryStore
) -> dict[str, FailuresLeft]:
    """By server, what is left on those that were given a part; on others there is nothing."""
    left = store.failures_left(rollout.endpoint_name, candidate, began)
    if not rollout.granted_to:  # begun by a Nereid that did not name them
        return left
    given = Server.objects.filter(name__in=rollout.granted_to).values_list("id", flat=True)
    return {server: left[server] for server in map(str, given) if server in left}


def _count(
    rollout: Rollout, plan: Plan, candidate: str, began: datetime, store: TelemetryStore
) -> None:
    """Adds what is new: the candidate's attempts and failures, and what it shares out with."""
    primary = found_policy(rollout).primary.key
    sharing = {p.physical for p in plan.arms if p.arm.key == primary} | {candidate}
    grown = store.growth(rollout.endpoint_name, sorted(sharing), began, rollout.harm_cursors)
    rollout.harm_cursors = grown.cursors
    rollout.failed_seen += grown.arms[candidate].failures
    rollout.answered_seen += grown.arms[candidate].answered
    if grown.seconds:
        rate = sum(arm.answered for arm in grown.arms.values()) / grown.seconds
        # The larger of now and of late: whoever paces by it is rather too slow.
        rollout.rate = max(rate, _OF_LATE * rollout.rate)


def _latest(rollout: Rollout) -> dict[str, AnalysisRun]:
    links = rollout.run_links.filter(step=rollout.step, attempt=rollout.attempt)
    ordered = links.select_related("run").order_by("run__began_at")
    return {link.run.template_name: link.run for link in ordered}


def _templates(rollout: Rollout) -> tuple[str, ...]:
    steps = rollout.steps
    if rollout.step >= len(steps):
        return rollout.plan.watch
    step = steps[rollout.step]
    return step.templates if isinstance(step, Analysis | Ramp) else ()


def _watch_part(rollout: Rollout) -> timedelta:
    return timedelta(seconds=rollout.watch_seconds / WATCH_PARTS)


def _share(rollout: Rollout, template: str) -> float:
    """The part of the template's alpha for the next run by it.

    A template's alpha holds for the whole rollout: each of the n places where it measures has
    alpha / n, and the k-th run at a place alpha / (n k (k + 1)), which adds up to no more than
    that however often it is measured anew. In the watch, with its p parts, the first p runs have
    alpha / (n (p + 1)) each, and those beyond share the last of these in that way.
    """
    plan = rollout.plan
    places = sum(isinstance(s, Analysis | Ramp) and template in s.templates for s in plan.steps)
    places += bool(rollout.watch_seconds) and template in plan.watch
    links = rollout.run_links.filter(step=rollout.step, attempt=rollout.attempt)
    k = links.filter(run__template_name=template).count() + 1
    if rollout.step < len(plan.steps):
        return 1 / (max(1, places) * k * (k + 1))
    beyond = max(0, k - WATCH_PARTS)
    of_the_last = beyond * (beyond + 1) if beyond else 1
    return 1 / (max(1, places) * (WATCH_PARTS + 1) * of_the_last)

"""Beginning, looking at and ending an analysis run; call each in a transaction.

A look reads what is new in the store, lets the pure tests judge it, and keeps what they found.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from control_plane.analysis.asking import asks
from control_plane.analysis.models import AnalysisLook, AnalysisReading, AnalysisRun, Phase
from control_plane.analysis.selectors import KnownTemplate
from control_plane.domain.analysis.evidence import ArmEvidence, Evidence, PerfBeside, Told
from control_plane.domain.analysis.looking import begin, look, state_from_document
from control_plane.domain.analysis.metric import Kind
from control_plane.domain.analysis.template import Template, read_template, to_document
from control_plane.domain.violations import NotFoundError
from control_plane.telemetry.evidence import ArmGrowth
from control_plane.telemetry.store import TelemetryStore

_FEEDBACK = "feedback"
"""Beside the servers' ids in a run's cursors: up to when feedback was read."""

_ASKED = "promql "
"""Before a metric's name, there: what was read of what Prometheus said."""

UNASKED = timedelta(seconds=30)
"""Prometheus is asked every five seconds: after so long nobody does."""


def begin_run(
    *,
    endpoint: str,
    known: KnownTemplate,
    alpha: float,
    objective: float | None = None,
    candidate: str,
    baseline: str,
    twin: str,
    dry_run: bool,
    now: datetime,
    passes_from: datetime | None = None,
) -> AnalysisRun:
    """Begins to measure: what happened before this moment is not looked at.

    Args:
        alpha: the share of the template's own that this run may use up.
        passes_from: until when it goes on though everything was shown to be good.
        objective: the availability that the candidate's model is to have, in percent.

    Raises:
        NotFoundError: a metric needs an objective, and there is none.
    """
    template = _with_objective(replace(known.template, alpha=alpha), objective)
    return AnalysisRun.objects.create(
        endpoint=endpoint,
        template_name=known.name,
        template_revision=known.revision,
        template=to_document(template),
        candidate=candidate,
        baseline=baseline,
        twin=twin,
        dry_run=dry_run or template.dry_run,
        state=begin(template, now).to_document(),
        reason="nothing was measured yet",
        began_at=now,
        passes_from=passes_from,
    )


def _with_objective(template: Template, objective: float | None) -> Template:
    burning = [metric for metric in template.metrics if metric.kind is Kind.BURN_RATE]
    missing = [metric.name for metric in burning if metric.objective is None]
    if missing and objective is None:
        detail = "neither the metric nor the model's service level says an availability below 100 %"
        raise NotFoundError(f"no objective for {missing[0]!r}: {detail}")
    metrics = (
        metric.with_objective(objective or 0.0) if metric in burning else metric
        for metric in template.metrics
    )
    return replace(template, metrics=tuple(metrics))


def look_at_run(
    run: AnalysisRun,
    *,
    store: TelemetryStore,
    now: datetime,
    perf: Callable[[], PerfBeside] | None = None,
) -> None:
    """Takes a look, if the template's interval has passed since the last one.

    Args:
        perf: the candidate's last perf run beside the accepted one, for templates that want it.
    """
    template = read_template(run.template)
    before = run.looked_at
    # Looks come by a clock that ticks each second: one that is a little early is on time.
    if before is not None and (now - before).total_seconds() < template.interval / 1e6 - 0.5:
        return
    evidence = _evidence(run, template, store, now)
    regressions = [m.name for m in template.metrics if m.kind is Kind.PERF_REGRESSION]
    if regressions and perf is not None:
        others = any(m.required and m.name not in regressions for m in template.metrics)
        if evidence is not None or not others:
            evidence = _with_perf(evidence, regressions, perf())
    state = state_from_document(template, run.state)
    may_pass = run.passes_from is None or now >= run.passes_from
    state, found = look(template, state, evidence, now, may_pass=may_pass)
    run.state, run.looked_at, run.looks_taken = state.to_document(), now, found.number
    run.phase, run.reason = found.phase.value, found.reason
    if found.phase.ended:
        run.ended_at = now
    run.save()
    AnalysisLook.objects.create(run=run, number=found.number, at=now, document=found.to_document())


def stop_run(run: AnalysisRun, *, reason: str, now: datetime) -> None:
    """Ends a run that has no verdict: whoever wanted one does no more."""
    run.phase, run.ended_at = Phase.STOPPED, now
    run.reason = f"{reason}; until then: {run.reason}"
    run.save(update_fields=["phase", "ended_at", "reason"])


def _evidence(
    run: AnalysisRun, template: Template, store: TelemetryStore, now: datetime
) -> Evidence | None:
    """What is new on both arms; None where no server could be scraped."""
    arms = [arm for arm in (run.candidate, run.baseline, run.twin) if arm]
    cursors = dict(run.cursors)
    said = cursors.pop(_FEEDBACK, run.began_at.isoformat())
    asked = {name: cursors.pop(name) for name in list(cursors) if name.startswith(_ASKED)}
    grown = store.growth(run.endpoint, arms, run.began_at, cursors)
    told: dict[str, dict[str, tuple[int, int]]] = {arm: {} for arm in arms}
    until = said
    if any(metric.kind == "feedback" for metric in template.metrics):
        feedback = store.feedback_since(run.endpoint, arms, datetime.fromisoformat(said))
        until = feedback.until.isoformat()
        for one in feedback.counts:
            told[one.arm][one.outcome] = (one.of, one.count)
    prometheus = _Said(run, asked, now) if asks(run.template) else None
    fresh = prometheus is not None and bool(prometheus.told)
    if not grown.measured and until == said and not fresh:
        return None
    if prometheus is not None:
        asked = prometheus.cursors
    run.cursors = {**grown.cursors, _FEEDBACK: until, **asked}
    parts = {arm: arm_evidence(grown.arms[arm], told[arm]) for arm in arms}
    baseline = parts.get(run.baseline, ArmEvidence())
    return Evidence(
        seconds=grown.seconds,
        candidate=parts[run.candidate],
        baseline=baseline,
        twin=parts.get(run.twin),
        told=prometheus.told if prometheus else {},
        unmeasured=prometheus.unmeasured if prometheus else {},
    )


def _with_perf(
    evidence: Evidence | None, names: Sequence[str], beside: PerfBeside
) -> Evidence | None:
    """With perf runs, which are compared though no server could be scraped at this moment."""
    if evidence is None and beside.problem:
        return None
    known = evidence or Evidence(0.0, ArmEvidence(), ArmEvidence())
    missing = dict.fromkeys(names, beside.problem) if beside.problem else {}
    return replace(known, perf=beside, unmeasured={**known.unmeasured, **missing})


class _Said:
    """What Prometheus said since the last look, by metric, and why it said nothing."""

    def __init__(self, run: AnalysisRun, cursors: Mapping[str, str], now: datetime) -> None:
        self.told: dict[str, Told] = {}
        self.unmeasured: dict[str, str] = {}
        self.cursors = dict(cursors)
        rows = {row.metric: row for row in run.readings.all()}
        for metric in run.template["metrics"]:
            if metric["kind"] == Kind.PROMQL:
                self._read(metric["name"], rows.get(metric["name"]), run.began_at, now)

    def _read(self, name: str, row: AnalysisReading | None, began: datetime, now: datetime) -> None:
        answered = row.answered_at if row else None
        if row and row.problem:
            self.unmeasured[name] = row.problem
        elif now - (answered or began) > UNASKED:
            self.unmeasured[name] = "nobody asked Prometheus: do the control plane's workers run?"
        if row is None or answered is None:
            return
        key = f"{_ASKED}{name}"
        before = json.loads(self.cursors.get(key, "null")) or {"at": began.isoformat()}
        seconds = (answered - datetime.fromisoformat(before["at"])).total_seconds()
        if seconds <= 0:
            return
        new = {arm: _less(pair, before.get(arm)) for arm, pair in row.totals.items()}
        nothing = (0.0, 0.0)
        candidate, baseline = new.get("candidate", nothing), new.get("baseline", nothing)
        self.told[name] = Told(seconds, candidate, baseline)
        self.cursors[key] = json.dumps({"at": answered.isoformat(), **row.totals})


def _less(pair: Sequence[float], before: Sequence[float] | None) -> tuple[float, float]:
    was = before or (0.0, 0.0)
    return pair[0] - was[0], pair[1] - was[1]


def arm_evidence(grown: ArmGrowth, told: Mapping[str, tuple[int, int]]) -> ArmEvidence:
    """What was counted of an arm, as the tests take it; `told` is outcome -> (of, count)."""
    more = grown.more
    return ArmEvidence(
        attempts=grown.answered,
        failures=grown.failures,
        buckets=dict(grown.buckets),
        feedback=dict(told),
        first=dict(grown.first),
        shadow=dict(grown.shadow),
        shadow_errors=(more["shadow_ok"] + more["shadow_failed"], more["shadow_failed"]),
        shadow_rows=(more["shadow_same"] + more["shadow_other"], more["shadow_other"]),
        queue=(more["queue_us"], more["queued"]),
        keys=(more["keys_good"] + more["keys_bad"], more["keys_bad"]),
        confidence=dict(grown.confidence),
    )

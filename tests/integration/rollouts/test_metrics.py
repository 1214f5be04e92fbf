"""Rollouts that other metrics decide than errors and labels: queues, budgets, perf runs."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.analysis.templates import put_template
from control_plane.audit.models import AuditEvent
from control_plane.domain.violations import ConflictError
from control_plane.registry.models import Model
from control_plane.rollouts import services
from control_plane.tuning.accepting import accept_perf_run
from tests.integration.rollouts.stage import Stage
from tests.support.perf import measure, perf_run

pytestmark = pytest.mark.django_db


def test_what_waits_longer_in_its_queue_is_taken_back(stage: Stage) -> None:
    queue = {"name": "queue", "kind": "queue_time", "block": "2s"}
    put_template(name="queue", document={"metrics": [queue]}, actor="ada")
    stage.waits = {1: 2000, 2: 3000}
    steps = [{"setWeight": 25}, {"analysis": {"template": "queue"}}]
    rollout = stage.start(strategy={"canary": {"steps": steps}})
    stage.until(rollout, "rolledBack", requests=400)
    assert "queue: candidate 3 ms, baseline 2 ms, bad in 8 of 8 blocks" in rollout.reason


def test_a_budget_that_burns_takes_a_version_back(stage: Stage) -> None:
    put_template(
        name="slo", document={"metrics": [{"name": "slo", "kind": "burn_rate"}]}, actor="ada"
    )
    steps = [{"setWeight": 25}, {"analysis": {"template": "slo"}}]
    strategy = {"canary": {"steps": steps}}
    rollout = stage.until(stage.start(strategy=strategy), "inconclusive")
    assert "no objective for 'slo'" in rollout.reason
    stage.abort(rollout)
    stage.until(rollout, "aborted")
    Model.objects.update(sla_availability_percent=99)
    rollout = stage.start(strategy=strategy, harmBudget={"failedRequests": 5000})
    stage.until(rollout, "rolledBack", requests=400, failing=0.4)
    assert "shown to be above 14.4 %" in rollout.reason


LOAD = {"canary": {"steps": [{"setWeight": 25}, {"analysis": {"template": "load"}}]}}


def perf_of_version(stage: Stage, version: int, base_us: float, **more: Any) -> Any:
    made = perf_run(number=version, **more)
    measure(made, stage.store, base_us)
    return made


def test_a_version_that_is_slower_under_load_is_taken_back(stage: Stage) -> None:
    load = {"name": "load", "kind": "perf_regression"}
    put_template(name="load", document={"metrics": [load]}, actor="ada")
    rollout = stage.until(stage.start(strategy=LOAD), "analysing")
    stage.tick(rollout)
    assert "digits v2 has no perf run" in rollout.reason
    first = perf_of_version(stage, 1, 900.0)
    perf_of_version(stage, 2, 1200.0)
    stage.tick(rollout)
    assert rollout.state == "analysing"
    assert "no other run of the model is accepted" in rollout.reason
    elsewhere = perf_of_version(stage, 1, 900.0, server_name="other")
    for run in (first, elsewhere):
        accept_perf_run(number=run.pk, actor="ada", clock=stage.clock)
    stage.tick(rollout)
    assert rollout.state == "rollingBack", rollout.reason
    assert f"beside run {first.pk}, which was accepted: at the worst of" in rollout.reason
    assert "1.33 times as slow, more than 1.1" in rollout.reason


def test_a_version_that_is_as_quick_goes_on_and_one_never_measured_asks(stage: Stage) -> None:
    load = {"name": "load", "kind": "perf_regression"}
    put_template(name="load", document={"metrics": [load]}, actor="ada")
    rollout = stage.until(stage.start(strategy=LOAD), "inconclusive")
    assert "could not be measured 10 times in a row" in rollout.reason
    run = perf_of_version(stage, 1, 900.0)
    accept_perf_run(number=run.pk, actor="ada", clock=stage.clock)
    assert accept_perf_run(number=run.pk, actor="bo", clock=stage.clock).accepted_by == "ada"
    failed = perf_run("failed", reason="it broke")
    with pytest.raises(ConflictError, match="only what succeeded"):
        accept_perf_run(number=failed.pk, actor="ada", clock=stage.clock)
    actions = AuditEvent.objects.filter(object_type="perf_run").values_list("action", "actor")
    assert list(actions) == [("perf_run.accept", "ada")]
    perf_of_version(stage, 2, 950.0)
    services.retry(rollout_id=rollout.id, actor="ada", clock=stage.clock)
    rollout.refresh_from_db()
    stage.until(rollout, "promoted")

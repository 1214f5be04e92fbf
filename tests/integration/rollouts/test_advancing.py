"""Rollouts from their start to their end, look by look, among nodes in memory."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.analysis.templates import put_template
from control_plane.domain.violations import ConflictError, InvalidInputError
from control_plane.endpoints.reconcile import sweep
from control_plane.endpoints.rollback import rollback
from control_plane.rollouts import services
from control_plane.rollouts.advancing import Means, advance
from control_plane.rollouts.measuring import WATCH_PARTS
from control_plane.rollouts.models import Rollout
from control_plane.rollouts.selectors import document_of, events_of, runs_of
from control_plane.wiring import print_config
from tests.integration.rollouts.stage import Stage

pytestmark = pytest.mark.django_db

QUICK: dict[str, Any] = {"canary": {"steps": [{"setWeight": 25}, {"analysis": {}}]}}


def states(rollout: Rollout) -> list[str]:
    """The states it went through, each once."""
    found: list[str] = []
    for event in events_of(rollout):
        if not found or found[-1] != event.state_after:
            found.append(event.state_after)
    return found


def test_a_good_version_is_promoted_untouched(stage: Stage) -> None:
    rollout = stage.until(stage.start(strategy=QUICK, watch="20s"), "promoted", requests=4000)
    assert stage.shares() == {1: 1, 2: 99}
    assert rollout.active
    for _ in range(25):
        stage.tick(rollout, requests=4000)
    assert rollout.finished_at is not None, rollout.reason
    assert stage.shares() == {2: 100}
    assert [arm["name"] for arm in stage.endpoint.policy["arms"]] == ["digits-v2"]  # type: ignore[index]
    assert states(rollout) == [
        *("pending", "preparing", "progressing", "analysing", "progressing"),
        *("promoting", "promoted"),
    ]
    phases = [link.run.phase for link in runs_of(rollout)]
    assert phases[:1] == ["Successful"]
    assert 3 <= len(phases) <= 1 + WATCH_PARTS, "the watch is measured in parts"
    alphas = [link.run.template["alpha"] for link in runs_of(rollout)]
    assert sum(alphas) <= 0.05
    looks = runs_of(rollout)[0].run.looks.all()
    assert len(looks) == runs_of(rollout)[0].run.looks_taken
    assert looks.last().document["metrics"][0]["candidate"]["of"] > 0


def test_a_bad_version_is_taken_back_within_its_budget(stage: Stage) -> None:
    before = stage.endpoint.policy
    rollout = stage.start(strategy=QUICK, harmBudget={"failedRequests": 60})
    stage.until(rollout, "rolledBack", requests=400, failing=0.2)
    assert stage.endpoint.policy == before
    assert "errors" in rollout.reason or "budget" in rollout.reason
    assert 0 < rollout.harm_spent <= 60
    assert sum(c for (_, outcome), c in stage.counts["a"].items() if outcome == "rescued") <= 30
    assert stage.shares() == {1: 100}
    assert states(rollout)[-2:] == ["rollingBack", "rolledBack"]


def test_a_spent_budget_takes_it_back_before_the_statistics_are_sure(stage: Stage) -> None:
    rollout = stage.start(strategy=QUICK, harmBudget={"failedRequests": 2})
    stage.until(rollout, "rolledBack", requests=20, failing=1.0)
    assert "the harm budget is spent: 2 of 2" in rollout.reason


def test_a_budget_that_is_spent_between_two_scrapes_is_no_restart(stage: Stage) -> None:
    rollout = stage.start(strategy=QUICK)
    stage.until(rollout, "preparing")
    scrape, stage.scrape = stage.scrape, lambda: None  # type: ignore[method-assign]
    stage.until(rollout, "analysing")
    stage.scrape = scrape  # type: ignore[method-assign]
    stage.until(rollout, "rolledBack", requests=100, failing=1.0)
    assert "the harm budget is spent: 20 of 20 attempts failed" in rollout.reason
    assert rollout.harm_spent == 20


def test_a_server_that_was_started_anew_has_lost_its_part_of_the_budget(stage: Stage) -> None:
    rollout = stage.start(strategy=QUICK)
    stage.until(rollout, "analysing", requests=100)
    stage.tick(rollout, requests=100, failing=0.1)
    stage.withdraw("a")
    stage.withdraw("b")
    stage.tick(rollout)
    assert rollout.state == "inconclusive"
    assert "started anew" in rollout.reason
    assert rollout.harm_spent == 20
    stage.abort(rollout)
    stage.deliver_all()
    stage.until(rollout, "aborted")
    with pytest.raises(ConflictError, match="20 of its harm budget of 20 are spent"):
        services.retry(rollout_id=rollout.id, actor="ada", clock=stage.clock)


def test_what_failed_after_the_last_look_is_charged_to_the_next_attempt(stage: Stage) -> None:
    rollout = stage.start(strategy=QUICK)
    stage.until(rollout, "analysing", requests=100)
    stage.traffic(100, failing=0.2)  # 5 on each server, and nobody looks before the way back
    stage.abort(rollout)
    scrape, stage.scrape = stage.scrape, lambda: None  # type: ignore[method-assign]
    stage.until(rollout, "aborted")
    stage.scrape, seen = scrape, rollout.harm_spent  # type: ignore[method-assign]
    services.retry(rollout_id=rollout.id, actor="ada", clock=stage.clock)
    stage.until(rollout, "preparing")
    assert (seen, rollout.harm_spent, rollout.granted_each) == (0, 10, 5)


def test_a_server_that_joins_meanwhile_has_nothing_of_the_budget(stage: Stage) -> None:
    rollout = stage.start(strategy=QUICK)
    stage.until(rollout, "analysing", requests=10)
    stage.join("c")
    stage.settle(1)
    assert "allowance 1" in stage.policy_text("c")
    assert " attempts 0 " in stage.policy_text("c")
    assert " attempts - failures 10 " in stage.policy_text("a")
    stage.traffic(4000)
    stage.withdraw("c")
    stage.until(rollout, "promoted", requests=4000)
    assert rollout.harm_spent == 0, "what it never had is not spent"


def test_what_cannot_be_loaded_fails_and_is_taken_back(stage: Stage) -> None:
    before = stage.endpoint.policy
    triton = stage.tritons["b"]
    refused = triton.load

    def load(name: str) -> None:
        if name.startswith("digits.v2."):
            triton.refuse(name)
        refused(name)

    triton.load = load  # type: ignore[method-assign]
    rollout = stage.until(stage.start(strategy=QUICK), "failed")
    assert "failed to load" in rollout.reason
    assert stage.endpoint.policy == before
    assert rollout.finished_at is not None


def test_a_preparation_that_never_ends_has_a_deadline(stage: Stage) -> None:
    rollout = stage.start(strategy=QUICK, progressDeadline="10s")
    for _ in range(13):
        stage.clock.pass_time(seconds=1)
        stage.beat()
        hang(stage, rollout)
    rollout.refresh_from_db()
    assert rollout.state == "failed"
    assert "the deadline passed: loading digits version 2 on a, b" in rollout.reason
    assert stage.shares() == {1: 100}


def hang(stage: Stage, rollout: Rollout) -> None:
    """A look, and everything that the nodes do but for preparations: they are still at it."""
    advance(rollout.id, Means(stage.clock, stage, print_config, stage.store))
    sweep(clock=stage.clock, queue=stage)
    while stage.messages:
        message = stage.messages.pop(0)
        if message.verb != "prepare":
            stage.deliver(message)


def test_blue_green_switches_everything_at_once(stage: Stage) -> None:
    rollout = stage.start(strategy={"blueGreen": {}}, watch="5s")
    stage.until(rollout, "promoted", requests=100)
    assert stage.shares() == {1: 0, 2: 100}
    for _ in range(8):
        stage.tick(rollout, requests=100)
    assert stage.shares() == {2: 100}
    assert rollout.finished_at is not None


def test_steps_pause_wait_and_are_skipped_or_ended_by_people(stage: Stage) -> None:
    steps: list[dict[str, Any]] = [
        {"setWeight": 10},
        {"pause": {"duration": "3s"}},
        {"pause": {}},
        {"approval": {}},
        {"setWeight": 50},
        {"analysis": {}},
    ]
    rollout = stage.start(strategy={"canary": {"steps": steps}}, watch="0s")
    stage.until(rollout, "paused")
    stage.until(rollout, "progressing", ticks=1) if rollout.step == 2 else None
    for _ in range(4):
        stage.tick(rollout)
    assert (rollout.state, rollout.step) == ("paused", 2)
    services.resume(rollout_id=rollout.id, actor="bo", clock=stage.clock)
    stage.until(rollout, "awaitingApproval")
    services.approve(rollout_id=rollout.id, actor="bo", clock=stage.clock)
    stage.until(rollout, "analysing", requests=10)
    assert stage.shares() == {1: 50, 2: 50}
    services.pause(rollout_id=rollout.id, actor="ada", clock=stage.clock)
    for _ in range(3):
        stage.tick(rollout, requests=10)
    assert (rollout.state, rollout.held_by) == ("paused", "ada")
    services.resume(rollout_id=rollout.id, actor="ada", clock=stage.clock)
    stage.until(rollout, "analysing", requests=10)
    assert runs_of(rollout).count() == 1, "the same run goes on"
    services.promote(rollout_id=rollout.id, actor="ada", clock=stage.clock)
    stage.until(rollout, "promoted")
    stage.tick(rollout)
    assert stage.shares() == {2: 100}
    assert rollout.finished_at is not None


def test_a_rollback_by_hand_goes_to_before_the_rollout(stage: Stage) -> None:
    rollout = stage.start(strategy=QUICK, watch="0s")
    stage.until(rollout, "analysing", requests=10)
    rollback(name="digits", actor="bo", queue=stage, print_config=print_config)
    rollout.refresh_from_db()
    assert rollout.state == "aborted"
    stage.settle(1)
    assert stage.shares() == {1: 100}
    second = stage.start(strategy=QUICK, watch="0s")
    stage.until(second, "promoted", requests=4000)
    stage.tick(second)
    assert stage.shares() == {2: 100}
    rollback(name="digits", actor="bo", queue=stage, print_config=print_config)
    assert stage.shares() == {1: 100}


def test_what_is_watched_may_still_return(stage: Stage) -> None:
    before = stage.endpoint.policy
    rollout = stage.start(strategy=QUICK, harmBudget={"failedRequests": 1000})
    stage.until(rollout, "promoted", requests=4000)
    stage.until(rollout, "rolledBack", requests=4000, failing=0.1)
    assert stage.endpoint.policy == before


def test_a_dry_run_measures_and_decides_nothing(stage: Stage) -> None:
    rollout = stage.start(
        strategy=QUICK, dryRun=True, watch="0s", harmBudget={"failedRequests": 100_000}
    )
    stage.until(rollout, "promoted", requests=4000, failing=0.1)
    assert [link.run.phase for link in runs_of(rollout)] == ["Failed"]


def test_what_cannot_be_measured_asks_a_person(stage: Stage) -> None:
    rollout = stage.start(strategy=QUICK)
    stage.until(rollout, "analysing", requests=10)
    scrape, stage.scrape = stage.scrape, lambda: None  # type: ignore[method-assign]
    stage.until(rollout, "inconclusive", ticks=15)
    assert "could not be measured" in rollout.reason
    stage.scrape = scrape  # type: ignore[method-assign]
    services.retry(rollout_id=rollout.id, actor="ada", clock=stage.clock)
    stage.until(rollout, "promoted", requests=4000)
    assert [link.run.phase for link in runs_of(rollout)][:2] == ["Error", "Successful"]


def test_latency_is_compared_with_a_twin_of_the_same_size(stage: Stage) -> None:
    put_template(
        name="latency",
        document={
            "metrics": [
                {
                    "name": "p99",
                    "kind": "latency_quantile",
                    "q": 0.99,
                    "compare": "twin",
                    "marginRelative": 0.05,
                }
            ]
        },
        actor="ada",
    )
    steps: list[dict[str, Any]] = [{"setWeight": 10}, {"analysis": {"template": "latency"}}]
    rollout = stage.start(strategy={"canary": {"steps": steps}}, watch="0s")
    stage.until(rollout, "analysing", requests=100)
    assert stage.endpoint.policy
    weights = {arm["name"]: arm["weight"] for arm in stage.endpoint.policy["arms"]}
    assert weights == {"digits-v1": 80, "candidate": 10, "twin": 10}
    run = runs_of(rollout)[0].run
    assert run.twin == f"{run.baseline}.twin"
    stage.tick(rollout, requests=100)
    [metric] = run.looks.last().document["metrics"]
    assert metric["compare"] == "twin"
    services.promote(rollout_id=rollout.id, actor="ada", clock=stage.clock)
    stage.until(rollout, "promoted")
    stage.tick(rollout)
    assert [arm["name"] for arm in stage.endpoint.policy["arms"]] == ["digits-v2"]


def test_the_evidence_leads_it_up_within_its_budget(stage: Stage) -> None:
    rollout = stage.start(
        strategy={"progressive": {"from": 2, "to": 20}},
        watch="0s",
        harmBudget={"failedRequests": 400},
    )
    shares = set()
    for _ in range(40):
        stage.tick(rollout, requests=1000)
        shares.add(stage.shares().get(2, 0))
        if not rollout.active:
            break
    assert rollout.state == "promoted", rollout.reason
    assert {2, 4, 8, 16, 20, 100} <= shares
    bad = stage.start(3, strategy={"progressive": {"from": 2}}, watch="0s")
    assert document_of(bad)["strategy"] == {
        "progressive": {"analysis": {"templates": ["default"]}, "from": 2, "to": 50}
    }


def test_copies_are_judged_before_any_caller_meets_it(stage: Stage) -> None:
    strategy = {"shadowFirst": {"percent": 50, "steps": QUICK["canary"]["steps"]}}
    before = stage.endpoint.policy
    rollout = stage.start(strategy=strategy)
    stage.until(rollout, "analysing", requests=4000, failing=0.05)
    assert stage.shares() == {1: 100, 2: 0}
    assert stage.endpoint.policy
    [shadow] = stage.endpoint.policy["shadow"]
    assert (shadow["arm"], shadow["percent"]) == ("candidate", 50)
    assert shadow["compare"] == "logits", "the first output that is made of numbers"
    stage.until(rollout, "rolledBack", requests=4000, failing=0.05)
    assert rollout.reason.startswith("errors: candidate 5 %")
    assert (rollout.harm_spent, stage.endpoint.policy) == (0, before)
    met = sum(count for (arm, _), count in stage.counts["a"].items() if ".v2." in arm)
    assert met == 0, "no caller met it"
    good = stage.until(stage.start(strategy=strategy, watch="0s"), "promoted", requests=4000)
    assert [link.run.template_name for link in runs_of(good)] == ["shadow", "default"]
    with pytest.raises(InvalidInputError, match="no output that is made of numbers"):
        stage.start(3, strategy={"shadowFirst": {"compare": "colour"}})


def test_the_way_back_takes_switches_alone(stage: Stage) -> None:
    rollout = stage.start(strategy=QUICK, harmBudget={"failedRequests": 1000})
    stage.until(rollout, "analysing", requests=10)
    stage.clock.pass_time(seconds=1)
    stage.beat()
    stage.traffic(4000, failing=0.5)
    stage.scrape()
    hang(stage, rollout)
    rollout.refresh_from_db()
    assert rollout.state == "rollingBack"
    for server in ("a", "b"):
        assert {p.arm.version: p.arm.weight for p in stage.plan_on(server).arms} == {1: 10_000}
    run = runs_of(rollout)[0].run
    assert (run.phase, run.candidate[:10]) == ("Failed", "digits.v2.")
    assert not run.looks.filter(number__gt=run.looks_taken).exists()

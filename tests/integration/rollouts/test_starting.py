"""Starting a rollout, and what people may do to it, over the real database."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from control_plane.analysis.templates import put_template
from control_plane.audit.models import AuditEvent
from control_plane.domain.violations import (
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
)
from control_plane.endpoints.kill import kill
from control_plane.endpoints.services import update_endpoint
from control_plane.rollouts import services
from control_plane.rollouts.controls import controls_of
from control_plane.rollouts.models import Rollout
from control_plane.rollouts.selectors import active_rollout, document_of, events_of
from control_plane.wiring import print_config
from tests.integration.rollouts.stage import Stage

pytestmark = pytest.mark.django_db


def test_it_is_stored_with_every_value_in_force(stage: Stage) -> None:
    rollout = stage.start()
    assert (rollout.state, rollout.number, str(rollout)) == ("pending", 1, "rollout 1 of digits")
    assert document_of(rollout) == {
        "endpoint": "digits",
        "to": {"model": "digits", "version": 2},
        "strategy": {
            "canary": {
                "analysis": {"templates": ["default"]},
                "steps": [
                    step
                    for weight in (5, 25, 50)
                    for step in (
                        {"setWeight": weight},
                        {"analysis": {"templates": ["default"]}},
                    )
                ],
            }
        },
        "harmBudget": {"failedRequests": 20, "confidence": 0.95},
        "watch": "10m",
        "progressDeadline": "10m",
        "dryRun": False,
    }
    assert [(e.event, e.actor) for e in events_of(rollout)] == [("start", "ada")]
    event = AuditEvent.objects.get(action="rollout.start")
    assert (event.actor, event.object_name) == ("ada", "digits:1")


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"to": {"model": "digits", "version": 9}}, "/to/version"),
        ({"to": {"model": "digits", "version": "@none"}}, "/to/version"),
        ({"to": {"model": "nothing", "version": 1}}, "/to/version"),
        ({"to": {"model": "digits"}}, "/to/version"),
        ({"strategy": {"canary": {"steps": [{"analysis": {"template": "no"}}]}}}, "/strategy"),
        ({"harmBudget": {"failedRequests": 1}}, "/harmBudget/failedRequests"),
    ],
)
def test_what_cannot_be_is_told_where(stage: Stage, more: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        stage.start(**more)
    assert pointer in [violation.pointer for violation in refused.value.violations]
    assert not Rollout.objects.exists()


def test_evidence_that_the_policy_does_not_give_is_asked_for_first(stage: Stage) -> None:
    metrics = {"metrics": [{"name": "errors", "kind": "error_rate", "unit": "key"}]}
    put_template(name="by-key", document=metrics, actor="ada")
    steps = [{"setWeight": 10}, {"analysis": {"template": "by-key"}}]
    with pytest.raises(InvalidInputError, match="counts sticky keys"):
        stage.start(strategy={"canary": {"steps": steps}})
    assert not Rollout.objects.exists()


def test_what_serves_already_or_by_hand_is_refused(stage: Stage) -> None:
    with pytest.raises(ConflictError, match="primary already"):
        stage.start(1)
    stage.policy(90, 10)
    with pytest.raises(ConflictError, match="has a weight"):
        stage.start(2)
    stage.start(3)


def test_an_endpoint_has_one_at_a_time(stage: Stage) -> None:
    first = stage.start()
    with pytest.raises(ConflictError, match="rollout 1 of digits is under way"):
        stage.start(3)
    second = stage.start(3, supersede=True)
    first.refresh_from_db()
    assert (first.state, second.supersedes) == ("aborted", first)
    assert active_rollout("digits") == second
    first.finished_at = None
    with pytest.raises(IntegrityError), transaction.atomic():
        first.save()


def test_what_has_not_begun_is_aborted_at_once(stage: Stage) -> None:
    rollout = stage.abort(stage.start(), actor="bo")
    assert (rollout.state, rollout.reason) == ("aborted", "bo aborted it")
    assert rollout.finished_at is not None
    with pytest.raises(ConflictError, match="has ended"):
        stage.abort(rollout)
    assert stage.endpoint.generation == 1


@pytest.mark.parametrize("by_hand", ["policy", "kill"])
def test_it_ends_when_a_person_moves_the_traffic(stage: Stage, by_hand: str) -> None:
    rollout = stage.start()
    if by_hand == "policy":
        stage.policy(100)
    else:
        kill(name="digits", actor="ada", queue=stage, print_config=print_config)
    rollout.refresh_from_db()
    assert (rollout.state, active_rollout("digits")) == ("aborted", None)
    assert "touches nothing more" in rollout.reason


def test_a_kill_that_has_nothing_to_change_ends_it_all_the_same(stage: Stage) -> None:
    kill(name="digits", actor="ada", queue=stage, print_config=print_config)
    rollout, generation = stage.start(), stage.endpoint.generation
    kill(name="digits", actor="bo", queue=stage, print_config=print_config)
    rollout.refresh_from_db()
    assert (stage.endpoint.generation, rollout.state) == (generation, "aborted")
    assert rollout.reason.startswith("bo sent everything to the primary by the kill switch")


def test_under_four_eyes_another_person_lets_it_begin(stage: Stage) -> None:
    update_endpoint(name="digits", actor="ada", four_eyes=True)
    rollout = stage.start()
    assert rollout.state == "awaitingApproval"
    with pytest.raises(NotAllowedError, match="somebody else"):
        services.approve(rollout_id=rollout.id, actor="ada", clock=stage.clock)
    with pytest.raises(ConflictError, match="before it begins"):
        services.promote(rollout_id=rollout.id, actor="bo", clock=stage.clock)
    mine, theirs = controls_of(rollout, "ada"), controls_of(rollout, "bo")
    assert [name for name, why in theirs.items() if not why] == ["approve", "abort"]
    assert [name for name, why in mine.items() if not why] == ["abort"]
    rollout = services.approve(rollout_id=rollout.id, actor="bo", clock=stage.clock)
    assert (rollout.state, rollout.approved_by) == ("pending", "bo")


def test_there_is_no_rollout_of_what_is_not_there(stage: Stage) -> None:
    with pytest.raises(NotFoundError, match="no endpoint"):
        services.start_rollout(
            document={"endpoint": "letters", "to": {"model": "digits", "version": 2}},
            actor="ada",
            queue=stage,
            print_config=print_config,
            clock=stage.clock,
        )

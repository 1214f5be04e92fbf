"""A worker that is killed in the middle of any look: the rollout ends the same."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from django.db import transaction

from control_plane.domain.rollout.states import State
from control_plane.rollouts import advancing, services
from control_plane.rollouts.advancing import Means, advance
from control_plane.rollouts.models import Rollout
from control_plane.rollouts.selectors import events_of, runs_of
from control_plane.wiring import print_config
from tests.integration.rollouts.stage import Stage

pytestmark = pytest.mark.django_db

STEPS: list[dict[str, Any]] = [{"setWeight": 25}, {"pause": {"duration": "1s"}}, {"analysis": {}}]


class KilledError(Exception):
    """What a `kill -9` is from inside: nothing comes after it, and nothing is committed."""


def killed_look(stage: Stage, rollout: Rollout) -> None:
    """A look that does all that it would, and of which nothing is left."""
    messages = list(stage.messages)
    with contextlib.suppress(KilledError), transaction.atomic():
        advance(rollout.id, _means(stage))
        raise KilledError
    stage.messages = messages
    rollout.refresh_from_db()


def goes_its_way(stage: Stage, *, failing: float, killed_in: str = "") -> tuple[Any, ...]:
    """Runs a rollout to its end, with one look killed in each state that is named."""
    rollout = stage.start(strategy={"canary": {"steps": STEPS}}, watch="4s")
    killed = 0
    for _ in range(40):
        if not rollout.active:
            break
        if rollout.state == killed_in or killed_in == "all":
            stage.clock.pass_time(milliseconds=200)
            stage.scrape()
            killed_look(stage, rollout)
            killed += 1
        stage.tick(rollout, requests=4000, failing=failing)
    assert killed or not killed_in
    moved = (event for event in events_of(rollout) if event.state_before != event.state_after)
    states = [event.state_after for event in moved]
    phases = [link.run.phase for link in runs_of(rollout) if link.step < len(STEPS)]
    return states, phases, stage.endpoint.policy, rollout.harm_spent <= rollout.harm_budget


GOOD = ["pending", "preparing", "progressing", "paused", "analysing", "promoting", "promoted"]
BAD = ["pending", "preparing", "progressing", "rollingBack"]  # it comes no further


@pytest.mark.parametrize(
    ("failing", "killed_in"),
    [
        (0.0, "all"),
        (0.3, "all"),
        *(pytest.param(0.0, state, marks=pytest.mark.long) for state in GOOD),
        *(pytest.param(0.3, state, marks=pytest.mark.long) for state in BAD),
    ],
)
def test_it_ends_the_same(stage: Stage, failing: float, killed_in: str) -> None:
    found = goes_its_way(stage, failing=failing, killed_in=killed_in)
    states, phases, policy, within_budget = found
    last = State.ROLLED_BACK if failing else State.PROMOTED
    assert states[-1] == last
    assert states.count("preparing") == states.count("pending") == 1
    assert states.count("rollingBack") == bool(failing)
    assert states.count("promoting") == (not failing)
    assert phases == ([] if failing else ["Successful"])
    assert within_budget
    assert policy is not None
    [arm] = policy["arms"]
    assert (arm["version"], arm["weight"]) == ((1, 100) if failing else (2, 100))


def test_what_waits_for_a_person_is_killed_too(stage: Stage) -> None:
    steps: list[dict[str, Any]] = [{"setWeight": 25}, {"approval": {}}, {"analysis": {}}]
    rollout = stage.start(strategy={"canary": {"steps": steps}}, watch="0s")
    stage.until(rollout, "awaitingApproval")
    killed_look(stage, rollout)
    assert rollout.state == "awaitingApproval"
    services.approve(rollout_id=rollout.id, actor="bo", clock=stage.clock)
    killed_look(stage, rollout)
    stage.until(rollout, "analysing", requests=10)
    scrape, stage.scrape = stage.scrape, lambda: None  # type: ignore[method-assign]
    stage.until(rollout, "inconclusive", ticks=15)
    killed_look(stage, rollout)
    assert rollout.state == "inconclusive"
    stage.scrape = scrape  # type: ignore[method-assign]
    services.retry(rollout_id=rollout.id, actor="ada", clock=stage.clock)
    killed_look(stage, rollout)
    stage.until(rollout, "promoted", requests=4000)
    assert [link.run.phase for link in runs_of(rollout)] == ["Error", "Successful"]
    assert [event.event for event in events_of(rollout) if event.actor != "nereid"] == [
        *("start", "approve", "retry"),
    ]


@pytest.mark.parametrize(
    "killed_in",
    ["analysing", *(pytest.param(s, marks=pytest.mark.long) for s in ("paused", "promoted"))],
)
def test_it_is_taken_back_all_the_same(stage: Stage, killed_in: str) -> None:
    rollout = stage.start(strategy={"canary": {"steps": STEPS}}, watch="60s")
    stage.until(rollout, killed_in, requests=4000)
    stage.clock.pass_time(seconds=1)
    stage.beat()
    stage.traffic(4000, failing=0.3)
    stage.scrape()
    killed_look(stage, rollout)
    assert rollout.state == killed_in
    stage.tick(rollout)
    assert rollout.state == "rollingBack"
    killed_look(stage, rollout)
    stage.until(rollout, "rolledBack")
    assert stage.shares() == {1: 100}
    assert rollout.harm_spent <= rollout.harm_budget


def test_one_that_cannot_be_looked_at_keeps_no_other_from_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout = stage.start()
    monkeypatch.setattr(advancing, "decide", lambda _: 1 / 0)
    assert list(advancing.advance_all([rollout.id], _means(stage))) == []
    monkeypatch.undo()
    assert list(advancing.advance_all([rollout.id], _means(stage))) == [rollout.endpoint_id]


def _means(stage: Stage) -> Means:
    return Means(stage.clock, stage, print_config, stage.store)

"""The drill: a whole stack is backed up and destroyed, and comes back from the backup.

Of its two servers one has lost its disk with the rest, and one has kept it: that one remembers
what was done after the backup, and has to be led back.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nereid import Client
from tests.chaos.convergence import arms_that_answer, converge, put_weights
from tests.support.callers import Callers
from tests.support.processes import eventually
from tests.support.serving import ServingStack

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

KEPT, LOST = "local", "local-2"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[ServingStack]:
    serving = ServingStack(tmp_path / "home", servers=2)
    serving.start()
    yield serving
    serving.stop()


def fill(stack: ServingStack, nereid: Client) -> None:
    """What a backup has to hold: a policy, a rollout that is over, a person, a recording."""
    arms = [{"model": "digits", "version": 1, "weight": 100}]
    accepted = nereid.put_policy("digits", {"arms": arms}, etag="*")
    nereid.wait_endpoint("digits", generation=accepted.generation)
    started = nereid.start_rollout(
        "digits", {"model": "digits", "version": 2}, steps=[{"setWeight": 5}, {"approval": {}}]
    )
    assert eventually(lambda: nereid.rollout(started.id).state == "awaitingApproval", 60)
    nereid.abort_rollout(started.id, reason="not today")
    assert nereid.wait_rollout(started.id, timeout=60).taken_back
    stack.command("manage", "createsuperuser", "--noinput", "--username=ada", "--email=a@b.example")
    nereid.give_role("ada", "operator")
    nereid.start_recording("digits", name="morning", server=KEPT, requests=20)
    with Callers(stack.stack["triton"]["grpc"], pause_s=0.01).calling():
        assert nereid.wait_recording("digits", "morning", timeout=60).state == "ready"
    converge(stack, put_weights(stack, 90, 10))


def state(nereid: Client) -> dict[str, Any]:
    """Everything that has to be the same afterwards."""
    return {
        "policy": nereid.policy("digits").document,
        "versions": [(one.number, one.sha256) for one in nereid.versions("digits")],
        "rollouts": [(one.id, one.state, one.reason) for one in nereid.rollouts()],
        "rollout events": [nereid.rollout_events(one.id) for one in nereid.rollouts()],
        "users": [one.raw for one in nereid.users()],
        "recordings": [one.raw for one in nereid.recordings("digits", limit=None)],
    }


def audit(nereid: Client) -> dict[int, Any]:
    return {one.id: one.raw for one in nereid.audit(limit=None)}


def destroy(stack: ServingStack, aside: Path) -> None:
    """Everything of the stack is killed, and its home is gone, but for one server's disk."""
    stack.kill_everything()
    disks = {
        stack.home / "nodes" / KEPT: aside / "node",
        stack.home / "model_repository": aside / "repository",
    }
    aside.mkdir()
    for disk, kept in disks.items():
        shutil.move(disk, kept)
    shutil.rmtree(stack.home)
    stack.home.mkdir()


def test_a_stack_comes_back_from_its_backup(
    stack: ServingStack, tmp_path: Path, record_property: Any
) -> None:
    backup, aside = tmp_path / "backup", tmp_path / "aside"
    with Client(stack.api, stack.token) as nereid:
        fill(stack, nereid)
        before, deeds = state(nereid), audit(nereid)
        began = time.monotonic()
        stack.command("backup", str(backup))
        backed_up_s = time.monotonic() - began
        stack.command("backup", "--verify", str(backup))
        # What is done after it is lost, and one node remembers it.
        for first in (80, 70, 60):
            generation = put_weights(stack, first, 100 - first)
        converge(stack, generation)
        nereid.take_role("ada", "operator")
        nereid.delete_recording("digits", "morning")
        assert state(nereid) != before
    destroy(stack, aside)

    began = time.monotonic()
    stack.command("restore", str(backup))
    restored_s = time.monotonic() - began
    (stack.home / "nodes").mkdir(exist_ok=True)
    shutil.move(aside / "node", stack.home / "nodes" / KEPT)
    shutil.move(aside / "repository", stack.home / "model_repository")
    stack.start()

    # Above what the node has seen: only then does it take what the database says.
    converge(stack, generation + 1, patience_s=120)
    whole_s = time.monotonic() - began
    with Client(stack.api, stack.token) as nereid:
        assert state(nereid) == before
        after = audit(nereid)
        [restored] = [one for one in after.values() if one["action"] == "system.restore"]
        [lifted] = [
            one
            for one in after.values()
            if one["action"] == "endpoint.generation" and one["id"] not in deeds
        ]
        assert nereid.endpoint("digits").generation > generation
        servers = {one.name: one.status for one in nereid.servers()}
    assert {number: after[number] for number in deeds} == deeds, "nothing of the record is lost"
    assert restored["reason"].startswith("a backup was put back")
    assert lifted["reason"] == f"a node has seen generation {generation} already"
    assert servers == {KEPT: "Ready", LOST: "Ready"}
    asked = arms_that_answer(stack, requests=200)
    assert 5 <= asked["2"] <= 40, "a tenth again, and not the four of what was lost"
    recorded = [path for path in (stack.home / "recordings").rglob("*") if path.is_file()]
    assert recorded
    figures = {"backup": backed_up_s, "restore": restored_s, "until it serves": whole_s}
    record_property("seconds", json.dumps(figures))
    print("drill:", ", ".join(f"{what} {seconds:.1f} s" for what, seconds in figures.items()))

"""`kill -9` of each part and of everything: the stack converges with no manual step."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tritonclient.grpc import InferenceServerClient

from nereid import Client
from stack.settings import CHECKOUT
from tests.chaos.convergence import arms_that_answer, converge, endpoint, put_weights
from tests.support.callers import Callers
from tests.support.processes import eventually, is_gone
from tests.support.serving import ServingStack
from tests.support.trapped import trapped


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingStack]:
    """A stack of this module's own: it does not survive these tests unharmed."""
    serving = ServingStack(tmp_path_factory.mktemp("chaos") / "home")
    serving.start()
    yield serving
    serving.stop()


def kill(stack: ServingStack, name: str) -> int:
    """Kill -9, and wait until the supervisor has put another process in its place."""
    pid = stack.pids[name]
    psutil.Process(pid).kill()
    assert eventually(lambda: stack.pids.get(name) not in (None, pid), 60), stack.tail()
    assert is_gone(pid)
    return pid


@pytest.mark.parametrize("name", ["worker", "triton", "node", "postgres", "broker", "api", "beat"])
def test_one_part_is_killed_and_a_change_goes_through_after_it(
    stack: ServingStack, name: str
) -> None:
    before = endpoint(stack)["generation"]
    kill(stack, name)
    converge(stack, before)
    # Another split each time, so that a change really has to reach the routers.
    share = 50 if endpoint(stack)["arms"][0]["weight"] != 50 else 40
    generation = put_until_accepted(stack, share)
    answered = converge(stack, generation)
    assert set(answered) == {"1", "2"}


def put_until_accepted(stack: ServingStack, share: float) -> int:
    """The API may still be reconnecting to what was killed; that is a 5xx, not a lost intent."""
    accepted: list[int] = []

    def put() -> bool:
        try:
            accepted.append(put_weights(stack, share, 100 - share))
        except Exception:
            return False
        return True

    assert eventually(put, 30), stack.tail()
    return accepted[-1]


@pytest.mark.long
@pytest.mark.parametrize("name", ["worker", "node"])
def test_a_part_is_killed_while_it_carries_out_a_change(stack: ServingStack, name: str) -> None:
    generation = put_weights(stack, 30, 70)
    kill(stack, name)
    answered = converge(stack, generation)
    assert set(answered) == {"1", "2"}


@pytest.mark.long
def test_the_worker_is_killed_between_prepare_and_switch(stack: ServingStack) -> None:
    number = push_again(stack, 2)
    policy = {"arms": [{"model": "digits", "version": number, "weight": 100}]}
    with stack.client() as client:
        answer = client.put("/endpoints/digits/policy/", json=policy, headers={"If-Match": "*"})
        generation = answer.json()["generation"]
    # Loading takes the node a second or two; meanwhile nobody may switch.
    assert eventually(lambda: "preparing" in endpoint(stack)["reason"], 20)
    kill(stack, "worker")
    assert eventually(
        lambda: (
            endpoint(stack)["observed_generation"] == generation
            and endpoint(stack)["status"] == "Healthy"
        ),
        60,
    ), stack.tail()
    with InferenceServerClient(stack.stack["triton"]["grpc"]) as client:
        metadata = client.get_model_metadata("digits")
    assert str(number) in metadata.versions


def test_the_worker_is_killed_while_it_validates(stack: ServingStack) -> None:
    path = CHECKOUT / "model_repository/samples/digits/v2/model.onnx"
    with Client(stack.api, stack.token) as client:
        pushed = client.push("digits", path)
        kill(stack, "worker")
        assert client.wait_version_ready("digits", pushed.number, timeout=60).state == "ready"


def push_again(stack: ServingStack, version: int) -> int:
    """Uploads that version's file once more, so that there is something to be loaded."""
    path = CHECKOUT / f"model_repository/samples/digits/v{version}/model.onnx"
    with Client(stack.api, stack.token) as client:
        pushed = client.push("digits", path)
        return client.wait_version_ready("digits", pushed.number).number


QUICK = {
    "metrics": [{"name": "errors", "kind": "error_rate", "margin": 0.1}],
    "inconclusiveAfter": "10m",
}
# So narrow a margin that a few seconds of traffic decide nothing: then a person is asked.
UNSURE = {
    "metrics": [{"name": "errors", "kind": "error_rate", "margin": 0.0001}],
    "inconclusiveAfter": "3s",
}
STEPS: list[dict[str, Any]] = [
    {"setWeight": 40},
    {"pause": {"duration": "1s"}},
    {"analysis": {"template": "quick"}},
    {"approval": {}},
]
ON_THE_WAY = ("pending", "preparing", "progressing", "paused", "analysing", "awaitingApproval")
AT_THE_END = ("promoting", "promoted")
PAUSE_S = 0.01
PATIENCE_S = 240.0
"""A worker is five processes, and comes back in five seconds, or on a busy machine in ninety."""


def begin(stack: ServingStack, steps: list[dict[str, Any]], number: int) -> str:
    """A rollout of that version, from version 1 with everything; returns its id."""
    put_until_accepted(stack, 100)
    converge(stack, endpoint(stack)["generation"])
    with stack.client() as client:
        put = client.put("/analysis-templates/quick/", json=QUICK)
        assert put.status_code in (201, 428), put.text  # 428: it is there already
        document = {
            "endpoint": "digits",
            "to": {"model": "digits", "version": number},
            "strategy": {"canary": {"steps": steps, "analysis": {"template": "quick"}}},
            "harmBudget": {"failedRequests": 1000},
            "watch": "4s",
        }
        answer = client.post("/rollouts/", json=document)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


def seen(stack: ServingStack, rollout: str) -> dict[str, Any]:
    with stack.client() as client:
        found: dict[str, Any] = client.get(f"/rollouts/{rollout}/").json()
        return found


def do(stack: ServingStack, rollout: str, control: str) -> None:
    with stack.client() as client:
        answer = client.post(f"/rollouts/{rollout}/{control}/", json={})
        assert answer.status_code in (200, 202), answer.text


def ends(stack: ServingStack, rollout: str) -> str:
    """The state in which it ends."""
    assert eventually(lambda: bool(seen(stack, rollout)["finished_at"]), PATIENCE_S), stack.tail()
    return str(seen(stack, rollout)["state"])


def primary(stack: ServingStack) -> tuple[int, float]:
    arm = next(arm for arm in endpoint(stack)["arms"] if arm["primary"])
    return arm["version"], arm["weight"]


def kill_whole(stack: ServingStack, name: str) -> int:
    """Kill -9 of a part and of all that it started, at once: nothing is brought to an end."""
    part = psutil.Process(stack.pids[name])
    for process in (part, *part.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return part.pid


def kill_in(stack: ServingStack, rollout: str, state: str) -> None:
    """Kills whoever takes rollouts further while it stands in that state, and sees that it did."""
    assert eventually(lambda: seen(stack, rollout)["state"] == state, PATIENCE_S), stack.tail()
    pid = kill_whole(stack, "worker")
    assert seen(stack, rollout)["state"] == state
    assert eventually(lambda: stack.pids.get("worker") not in (None, pid), 60), stack.tail()


@contextlib.contextmanager
def clock_stopped(stack: ServingStack) -> Iterator[None]:
    """Nobody asks for a look meanwhile: what waits for one stays as it is."""
    beat = psutil.Process(stack.pids["beat"])
    beat.suspend()
    try:
        yield
    finally:
        beat.resume()


@pytest.mark.long
def test_the_worker_is_killed_while_a_rollout_measures(stack: ServingStack) -> None:
    number = push_again(stack, 2)
    with Callers(stack.stack["triton"]["grpc"], pause_s=PAUSE_S).calling() as callers:
        rollout = begin(stack, [STEPS[0], STEPS[2]], number)
        kill_in(stack, rollout, "analysing")
        assert ends(stack, rollout) == "promoted"
    assert callers.errors == []
    assert primary(stack) == (number, 100)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_the_worker_is_killed_in_every_state_on_the_way(stack: ServingStack) -> None:
    number = push_again(stack, 2)
    with Callers(stack.stack["triton"]["grpc"], pause_s=PAUSE_S).calling() as callers:
        with clock_stopped(stack):
            rollout = begin(stack, STEPS, number)
            kill_in(stack, rollout, ON_THE_WAY[0])
        for state in ON_THE_WAY[1:]:
            kill_in(stack, rollout, state)
        do(stack, rollout, "approve")
        for state in AT_THE_END:
            kill_in(stack, rollout, state)
        assert ends(stack, rollout) == "promoted"
    assert callers.errors == []
    assert primary(stack) == (number, 100)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_the_worker_is_killed_while_a_bad_version_is_found_and_taken_back(
    stack: ServingStack, tmp_path: Path
) -> None:
    source = CHECKOUT / "model_repository/samples/digits/v2/model.onnx"
    with Client(stack.api, stack.token) as client:
        number = client.push("digits", trapped(source, tmp_path / "model.onnx"), wait=True).number
    calling = Callers(stack.stack["triton"]["grpc"], marked=25, pause_s=PAUSE_S).calling()
    with calling as callers:
        rollout = begin(stack, STEPS[::2], number)
        for state in ("analysing", "rollingBack"):
            kill_in(stack, rollout, state)
        assert ends(stack, rollout) == "rolledBack"
    assert callers.errors == []
    assert primary(stack) == (1, 100)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_the_worker_is_killed_while_nothing_is_decided(stack: ServingStack) -> None:
    number = push_again(stack, 2)
    with Callers(stack.stack["triton"]["grpc"], pause_s=PAUSE_S).calling() as callers:
        with stack.client() as client:
            put = client.put("/analysis-templates/unsure/", json=UNSURE)
            assert put.status_code in (201, 428), put.text
        rollout = begin(stack, [{"setWeight": 40}, {"analysis": {"template": "unsure"}}], number)
        kill_in(stack, rollout, "inconclusive")
        assert seen(stack, rollout)["state"] == "inconclusive", "it waits for a person"
        do(stack, rollout, "promote")
        assert ends(stack, rollout) == "promoted"
    assert callers.errors == []
    assert primary(stack) == (number, 100)


@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", ["worker", "node"])
def test_a_part_is_killed_on_the_way_back_by_hand(stack: ServingStack, name: str) -> None:
    number = push_again(stack, 2)
    with Callers(stack.stack["triton"]["grpc"], pause_s=PAUSE_S).calling() as callers:
        rollout = begin(stack, [{"setWeight": 40}, {"pause": {}}], number)
        assert eventually(lambda: seen(stack, rollout)["state"] == "paused", PATIENCE_S)
        with clock_stopped(stack):
            do(stack, rollout, "abort")
            pid = kill_whole(stack, name)
            assert seen(stack, rollout)["state"] == "rollingBack"
        assert ends(stack, rollout) == "aborted"
    assert stack.pids[name] != pid
    assert callers.errors == []
    assert primary(stack) == (1, 100)


@pytest.mark.long
def test_everything_is_killed_and_served_again(stack: ServingStack) -> None:
    generation = put_weights(stack, 0, 100)
    converge(stack, generation)
    token = stack.token
    password = json.loads((stack.home / "credentials.json").read_text())
    pids = stack.pids
    stack.kill_everything()
    assert eventually(lambda: all(is_gone(pid) for pid in pids.values()))
    assert (stack.home / "stack.json").exists()

    stack.start()

    assert set(arms_that_answer(stack)) == {"2"}
    assert set(converge(stack, generation)) == {"2"}
    assert stack.token != token
    assert json.loads((stack.home / "credentials.json").read_text()) == password


@pytest.mark.long
def test_only_the_supervisor_is_killed(stack: ServingStack) -> None:
    generation = endpoint(stack)["generation"]
    pids = stack.pids
    psutil.Process(pids["supervisor"]).kill()
    # Its children go with it, without anybody's help.
    assert eventually(lambda: all(is_gone(pid) for pid in pids.values()), 40)
    stack.kill_everything()
    stack.start()
    converge(stack, generation)


@pytest.mark.long
def test_a_stop_leaves_nothing(tmp_path: Path) -> None:
    stack = ServingStack(tmp_path / "home", sample=False)
    stack.start()
    names = {path.name for path in stack.home.iterdir()}
    assert {"stack.json", "secrets.json", "credentials.json"} <= names
    for name in ("stack.json", "secrets.json", "credentials.json", "run/environment.json"):
        assert (stack.home / name).stat().st_mode & 0o077 == 0, name
    pids = stack.pids
    assert list(pids) == [
        *("supervisor", "postgres", "broker", "triton", "api", "worker", "beat", "node")
    ]
    stack.stop()
    assert all(is_gone(pid) for pid in pids.values())
    assert not (stack.home / "stack.json").exists()
    assert not (stack.home / "run" / "environment.json").exists()
    assert not (stack.home / "run" / "processes.json").exists()

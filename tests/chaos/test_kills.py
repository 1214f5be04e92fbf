"""`kill -9` of each part and of everything: the stack converges with no manual step."""

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


@pytest.mark.parametrize("name", ["worker", "node"])
def test_a_part_is_killed_while_it_carries_out_a_change(stack: ServingStack, name: str) -> None:
    generation = put_weights(stack, 30, 70)
    kill(stack, name)
    answered = converge(stack, generation)
    assert set(answered) == {"1", "2"}


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
    "metrics": [{"name": "errors", "kind": "error_rate", "margin": 0.3}],
    "inconclusiveAfter": "10m",
}
STEPS = [{"setWeight": 40}, {"pause": {"duration": "3s"}}, {"analysis": {"template": "quick"}}]


def begin(stack: ServingStack, steps: list[dict[str, Any]]) -> tuple[str, int]:
    """A rollout of a version that is as good; returns its id and the version's number."""
    number = push_again(stack, 2)
    put_until_accepted(stack, 100)
    converge(stack, endpoint(stack)["generation"])
    with stack.client() as client:
        put = client.put("/analysis-templates/quick/", json=QUICK)
        assert put.status_code in (201, 428), put.text  # 428: it is there already
        document = {
            "endpoint": "digits",
            "to": {"model": "digits", "version": number},
            "strategy": {"canary": {"steps": steps, "analysis": {"template": "quick"}}},
            "watch": "4s",
        }
        answer = client.post("/rollouts/", json=document)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"], number


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
    assert eventually(lambda: bool(seen(stack, rollout)["finished_at"]), 300), stack.tail()
    return str(seen(stack, rollout)["state"])


def primary(stack: ServingStack) -> tuple[int, float]:
    arm = next(arm for arm in endpoint(stack)["arms"] if arm["primary"])
    return arm["version"], arm["weight"]


@pytest.mark.parametrize(
    "state",
    [
        "analysing",
        *(
            pytest.param(state, marks=pytest.mark.long)
            for state in ("pending", "preparing", "progressing", "paused", "promoting", "promoted")
        ),
    ],
)
def test_the_worker_is_killed_during_a_rollout(stack: ServingStack, state: str) -> None:
    rollout, number = begin(stack, STEPS)
    with Callers(stack.stack["triton"]["grpc"]).calling() as callers:
        # One that has gone past the state is killed where it is: it has to end all the same.
        in_time = (state, "promoted")
        assert eventually(lambda: seen(stack, rollout)["state"] in in_time, 60), stack.tail()
        kill(stack, "worker")
        assert ends(stack, rollout) == "promoted"
    assert callers.errors == []
    assert primary(stack) == (number, 100)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_worker_is_killed_while_a_rollout_waits_for_a_person(stack: ServingStack) -> None:
    rollout, number = begin(stack, [{"setWeight": 40}, {"approval": {}}])
    with Callers(stack.stack["triton"]["grpc"]).calling() as callers:
        waits = "awaitingApproval"
        assert eventually(lambda: seen(stack, rollout)["state"] == waits, 60), stack.tail()
        kill(stack, "worker")
        assert seen(stack, rollout)["state"] == waits
        do(stack, rollout, "approve")
        kill(stack, "worker")
        assert ends(stack, rollout) == "promoted"
    assert callers.errors == []
    assert primary(stack) == (number, 100)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["worker", "node"])
def test_a_part_is_killed_on_the_way_back(stack: ServingStack, name: str) -> None:
    rollout, _ = begin(stack, [{"setWeight": 40}, {"pause": {}}])
    before = primary(stack)[0]
    with Callers(stack.stack["triton"]["grpc"]).calling() as callers:
        assert eventually(lambda: seen(stack, rollout)["state"] == "paused", 60), stack.tail()
        do(stack, rollout, "abort")
        kill(stack, name)
        assert ends(stack, rollout) == "aborted"
    assert callers.errors == []
    assert primary(stack) == (before, 100)


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


def test_only_the_supervisor_is_killed(stack: ServingStack) -> None:
    generation = endpoint(stack)["generation"]
    pids = stack.pids
    psutil.Process(pids["supervisor"]).kill()
    # Its children go with it, without anybody's help.
    assert eventually(lambda: all(is_gone(pid) for pid in pids.values()), 40)
    stack.kill_everything()
    stack.start()
    converge(stack, generation)


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

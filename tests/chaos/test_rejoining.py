"""A real server that is killed whole while a policy changes: its gate opens on what is wanted."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton

from tests.chaos.convergence import ENDPOINT, SAMPLE, converge, put_weights
from tests.support.processes import eventually
from tests.support.serving import ServingStack

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
AWAY = "local-2"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingStack]:
    serving = ServingStack(tmp_path_factory.mktemp("rejoining") / "home", servers=2)
    serving.start()
    yield serving
    serving.stop()


def is_ready(stack: ServingStack) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        answer = httpx.get(f"{stack.servers[AWAY]['gate']}/ready", timeout=5, trust_env=False)
        return answer.status_code == 200
    return False


def who_answers(stack: ServingStack) -> str:
    image = SAMPLE.image(0)
    given = triton.InferInput(SAMPLE.input, [1, 1, *image.pixels.shape], "FP32")
    given.set_data_from_numpy(np.asarray(image.pixels[None, None]))
    with triton.InferenceServerClient(stack.servers[AWAY]["grpc"]) as client:
        answer = client.infer(ENDPOINT, [given], client_timeout=10)
    arm = answer.get_response().parameters["nereid_arm"].string_param
    return str(arm.split(".")[1])


@pytest.mark.parametrize("killed", [("triton",), ("node",), ("triton", "node")])
def test_its_gate_opens_on_what_is_wanted_now(stack: ServingStack, killed: tuple[str, ...]) -> None:
    converge(stack, put_weights(stack, 100, 0))
    assert eventually(lambda: is_ready(stack), 60)
    assert who_answers(stack) == "v1"
    processes = stack.servers[AWAY]["processes"]
    pids = [stack.pids[processes[kind]] for kind in killed]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not is_ready(stack), 10)
    generation = put_weights(stack, 0, 100)
    deadline = time.monotonic() + 240
    while not is_ready(stack):
        assert time.monotonic() < deadline, stack.tail()
        time.sleep(0.02)
    assert who_answers(stack) == "v2", "and not what was wanted when it was killed"
    converge(stack, generation)

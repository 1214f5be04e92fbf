"""A rollout among several real servers, while one of them hangs in a load: the way back is open."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton

from nereid import Client
from perf.marked_model import Behaviour
from tests.support.processes import eventually
from tests.support.serving import ServingStack

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

NAME, OTHER = "several", "hanging"
HARMLESS = np.array([[1, 1, 1]], np.float32)

HANGS = """
import pathlib, time
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        hang = pathlib.Path(args["model_repository"]).parent / ".hang"
        while hang.exists():
            time.sleep(0.05)

    def execute(self, requests):
        right = pb_utils.Tensor("right", np.ones((1, 1), np.float32))
        return [pb_utils.InferenceResponse([right]) for _ in requests]
"""
CONFIG = """
max_batch_size: 1
input { name: "marks" data_type: TYPE_FP32 dims: [3] }
output { name: "right" data_type: TYPE_FP32 dims: [1] }
"""


def hanging_archive(folder: Path) -> Path:
    """A model whose load lasts as long as a file named `.hang` lies in its server's repository."""
    path = folder / "hangs.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in (("model.py", HANGS), ("config.pbtxt", CONFIG)):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingStack]:
    serving = ServingStack(tmp_path_factory.mktemp("several") / "home", sample=False, servers=3)
    serving.start()
    yield serving
    serving.stop()


@pytest.fixture(scope="module")
def addresses(stack: ServingStack) -> list[str]:
    return [server["grpc"] for server in stack.servers.values()]


def hang_of(stack: ServingStack, name: str) -> Path:
    """The file that a load on that server waits to be gone."""
    return Path(stack.servers[name]["repository"]) / ".hang"


@pytest.fixture
def nereid(stack: ServingStack) -> Iterator[Client]:
    with Client(stack.api, stack.token) as client:
        yield client


def serve(nereid: Client, name: str, version: int) -> int:
    """Wants everything at that version; returns the generation, without waiting for it."""
    nereid.ensure_endpoint(name)
    arms = [{"model": name, "version": version, "weight": 100, "name": "stable"}]
    return int(nereid.put_policy(name, {"arms": arms}, etag="*").generation)


def answering(address: str, requests: int = 30) -> set[str]:
    """The versions that answer there."""
    given = triton.InferInput("marks", [1, 3], "FP32").set_data_from_numpy(HARMLESS)
    with triton.InferenceServerClient(address) as client:
        answers = [client.infer(NAME, [given], client_timeout=20) for _ in range(requests)]
    arms = [answer.get_response().parameters["nereid_arm"].string_param for answer in answers]
    return {arm.split(".")[1] for arm in arms}


def split_everywhere(nereid: Client, addresses: list[str]) -> str:
    """A rollout that has half of the requests on every server; returns its id."""
    started = nereid.start_rollout(
        NAME,
        {"model": NAME, "version": 2},
        steps=[{"setWeight": 50}, {"pause": {}}],
        harm_budget=30,
        watch="0s",
    )
    assert eventually(lambda: nereid.rollout(started.id).state == "paused", 120)
    for address in addresses:
        assert answering(address) == {"v1", "v2"}
    return started.id


def test_a_rollback_reaches_every_server_while_one_of_them_hangs_in_a_load(
    nereid: Client, stack: ServingStack, addresses: list[str], tmp_path: Path
) -> None:
    for behaviour in (Behaviour(), Behaviour(fails=0.5)):
        nereid.push(NAME, behaviour.archive(tmp_path), framework="python", create=True, wait=True)
    nereid.wait_endpoint(NAME, generation=serve(nereid, NAME, 1))
    rollout = split_everywhere(nereid, addresses)
    archive = hanging_archive(tmp_path)
    nereid.push(OTHER, archive, framework="python", create=True, wait=True)
    hang = hang_of(stack, "local-2")
    hang.touch()
    generation = serve(nereid, OTHER, 1)
    assert eventually(lambda: "local-2" in nereid.endpoint(OTHER).reason, 60)

    nereid.abort_rollout(rollout)
    ended = nereid.wait_rollout(rollout, timeout=120)

    assert ended.state == "aborted", ended.reason
    for address in addresses:
        assert answering(address) == {"v1"}, "it is back everywhere"
    waiting = nereid.endpoint(OTHER)
    assert waiting.status == "Progressing", "and the load still hangs"
    hang.unlink()
    assert nereid.wait_endpoint(OTHER, generation=generation, timeout=120).status == "Healthy"


def test_one_that_hangs_in_its_own_load_is_taken_back_everywhere(
    nereid: Client, stack: ServingStack, addresses: list[str], tmp_path: Path
) -> None:
    pushed = nereid.push(NAME, hanging_archive(tmp_path), framework="python", wait=True)
    hang = hang_of(stack, "local-3")
    hang.touch()
    started = nereid.start_rollout(NAME, {"model": NAME, "version": pushed.number}, watch="0s")
    assert eventually(lambda: "local-3" in nereid.rollout(started.id).reason, 60)
    assert nereid.rollout(started.id).state == "preparing"

    nereid.abort_rollout(started.id)
    assert nereid.wait_rollout(started.id, timeout=120).state == "aborted"

    assert hang.exists(), "and the load still hangs"
    for address in addresses:
        assert answering(address) == {"v1"}
    hang.unlink()
    # What hung is let go, and the next change comes through.
    nereid.wait_endpoint(NAME, generation=serve(nereid, NAME, 1))

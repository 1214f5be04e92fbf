"""A stack whose artifacts are in a bucket: pushed, served, and fetched where there is nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton

from nereid import Client
from tests.support.buckets import CREDENTIALS, BucketServer, bucket_server
from tests.support.joined import joined
from tests.support.processes import eventually
from tests.support.serving import CHECKOUT, ServingStack

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

SAMPLES = CHECKOUT / "model_repository/samples/digits"
IMAGE = np.zeros((1, 1, 8, 8), np.float32)


@pytest.fixture(scope="module")
def bucket() -> Iterator[BucketServer]:
    with bucket_server("artifacts") as server:
        yield server


@pytest.fixture(scope="module")
def stack(bucket: BucketServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingStack]:
    variables = {
        **CREDENTIALS,
        "NEREID_ARTIFACT_STORE": "s3://artifacts/live",
        "NEREID_S3_ENDPOINT": bucket.address,
        # No room: what was used is gone, and whoever wants it has to fetch it.
        "NEREID_ARTIFACT_CACHE_BYTES": "0",
    }
    home = tmp_path_factory.mktemp("bucket") / "home"
    serving = ServingStack(home, sample=False, variables=variables)
    serving.start()
    with Client(serving.api, serving.token) as nereid:
        for number in (1, 2):
            nereid.push("digits", SAMPLES / f"v{number}/model.onnx", create=True, wait=True)
    yield serving
    serving.stop()


@pytest.fixture
def nereid(stack: ServingStack) -> Iterator[Client]:
    with Client(stack.api, stack.token) as client:
        yield client


def answered(address: str) -> str:
    """The physical model that answers there."""
    given = triton.InferInput("image", [1, 1, 8, 8], "FP32").set_data_from_numpy(IMAGE)
    with triton.InferenceServerClient(address) as client:
        answer = client.infer("digits", [given], client_timeout=20)
    assert answer.as_numpy("logits").shape == (1, 10)
    return str(answer.get_response().parameters["nereid_arm"].string_param)


def answers(address: str) -> bool:
    try:
        return bool(answered(address))
    except triton.InferenceServerException:
        return False


def files_in(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and "locks" not in p.parts]


def deploy(nereid: Client, version: int) -> int:
    nereid.ensure_endpoint("digits")
    arms = [{"model": "digits", "version": version, "weight": 100, "name": "stable"}]
    return int(nereid.put_policy("digits", {"arms": arms}, etag="*").generation)


@pytest.fixture
def first(nereid: Client, stack: ServingStack) -> str:
    """The physical model of version 1, which serves."""
    generation = deploy(nereid, 1)
    assert nereid.wait_endpoint("digits", generation=generation).status == "Healthy"
    return answered(stack.stack["triton"]["grpc"])


def test_while_the_bucket_is_away_what_serves_goes_on_and_a_change_waits(
    nereid: Client, stack: ServingStack, bucket: BucketServer, first: str
) -> None:
    assert first.startswith("digits.v1.")
    artifacts = stack.home / "artifacts"
    assert files_in(artifacts / "cache") == []
    assert not (artifacts / "sha256").exists()
    assert any(key.startswith("live/sha256/") for key in bucket.keys("artifacts"))

    address = stack.stack["triton"]["grpc"]
    with bucket.away():
        deploy(nereid, 2)
        assert eventually(lambda: nereid.endpoint("digits").status == "Degraded", 60)
        assert "the bucket of s3://artifacts/live" in nereid.endpoint("digits").reason
        assert answered(address) == first
        before = stack.pids
        for name in ("node", "triton"):
            os.kill(before[name], signal.SIGKILL)
        assert eventually(lambda: answers(address), 120)
        assert answered(address) == first, "from what is published on its disk"
    # What failed is tried again after half a minute.
    assert eventually(lambda: nereid.endpoint("digits").status == "Healthy", 120)
    assert answered(address).startswith("digits.v2.")


def test_a_server_that_has_nothing_gets_it_from_the_bucket(
    nereid: Client, stack: ServingStack, first: str
) -> None:
    with joined(stack, "second") as second:
        assert eventually(lambda: "second" in nereid.endpoint("digits").reason, 60)
        assert eventually(lambda: nereid.endpoint("digits").status == "Healthy", 60)
        assert answered(second.grpc) == first

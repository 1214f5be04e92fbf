"""The routed endpoint answers every client of the v2 protocol."""

from __future__ import annotations

import asyncio
import json
import queue
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as grpcclient
import tritonclient.grpc.aio as grpcaio
import tritonclient.http as httpclient
import tritonclient.http.aio as httpaio

from control_plane.adapters.perf_analyzer.binary import find
from control_plane.ports.load import LoadGeneratorMissingError
from tests.support.serving import ServingStack

IMAGES = Path(__file__).resolve().parents[2] / "model_repository/samples/digits/images.json"


@pytest.fixture(scope="module")
def image() -> tuple[np.ndarray, int]:
    """A held-out image that version 1 reads right, and its label."""
    document = json.loads(IMAGES.read_text())
    first = document["images"][0]
    pixels = np.array(first["pixels"], np.float32).reshape(1, 1, 8, 8) / document["scale"]
    return pixels, int(first["label"])


def tensor(module: Any, pixels: np.ndarray) -> list[Any]:
    found = module.InferInput("image", list(pixels.shape), "FP32")
    found.set_data_from_numpy(pixels)
    return [found]


def label(result: Any) -> int:
    return int(result.as_numpy("logits").argmax())


def test_http(serving_stack: ServingStack, image: tuple[np.ndarray, int]) -> None:
    client = httpclient.InferenceServerClient(serving_stack.stack["triton"]["http"])
    result = client.infer("digits", tensor(httpclient, image[0]), request_id="mine")
    assert label(result) == image[1]
    response = result.get_response()
    assert response["id"] == "mine"
    assert response["parameters"]["nereid_arm"].startswith("digits.v1.")
    client.close()


def test_grpc(serving_stack: ServingStack, image: tuple[np.ndarray, int]) -> None:
    client = grpcclient.InferenceServerClient(serving_stack.stack["triton"]["grpc"])
    result = client.infer("digits", tensor(grpcclient, image[0]))
    assert label(result) == image[1]
    arm = result.get_response().parameters["nereid_arm"].string_param
    assert arm.startswith("digits.v1.")
    client.close()


def test_grpc_stream(serving_stack: ServingStack, image: tuple[np.ndarray, int]) -> None:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client = grpcclient.InferenceServerClient(serving_stack.stack["triton"]["grpc"])
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for number in range(20):
        client.async_stream_infer("digits", tensor(grpcclient, image[0]), request_id=str(number))
    seen = set()
    for _ in range(20):
        result, error = answers.get(timeout=30)
        assert error is None
        assert label(result) == image[1]
        seen.add(result.get_response().id)
    client.stop_stream()
    client.close()
    assert seen == {str(number) for number in range(20)}


async def test_asyncio(serving_stack: ServingStack, image: tuple[np.ndarray, int]) -> None:
    addresses = serving_stack.stack["triton"]
    async with grpcaio.InferenceServerClient(addresses["grpc"]) as grpc:
        calls = [grpc.infer("digits", tensor(grpcclient, image[0])) for _ in range(8)]
        assert [label(result) for result in await asyncio.gather(*calls)] == [image[1]] * 8
    async with httpaio.InferenceServerClient(addresses["http"]) as http:
        assert label(await http.infer("digits", tensor(httpclient, image[0]))) == image[1]


def test_plain_json(serving_stack: ServingStack, image: tuple[np.ndarray, int]) -> None:
    url = f"http://{serving_stack.stack['triton']['http']}/v2/models/digits"
    body = {
        "inputs": [
            {
                "name": "image",
                "datatype": "FP32",
                "shape": [1, 1, 8, 8],
                "data": image[0].ravel().tolist(),
            }
        ]
    }
    with httpx.Client(trust_env=False) as client:
        answer = client.post(f"{url}/infer", json=body).json()
        assert int(np.argmax(answer["outputs"][0]["data"])) == image[1]
        metadata = client.get(url).json()
        assert metadata["platform"] == "traffic"
        assert [t["name"] for t in metadata["inputs"]] == ["image"]
        # A version that is deployed is reached by its number; one that is not answers 404.
        pinned = client.post(f"{url}/versions/1/infer", json=body)
        assert pinned.json()["parameters"]["nereid_arm"].startswith("digits.v1.")
        assert client.post(f"{url}/versions/77/infer", json=body).status_code == 404


def test_a_callers_mistake_keeps_its_code(serving_stack: ServingStack) -> None:
    url = f"http://{serving_stack.stack['triton']['http']}/v2/models/digits/infer"
    wrong = {"name": "image", "datatype": "FP32", "shape": [1, 1, 8, 9], "data": [0.0] * 72}
    with httpx.Client(trust_env=False) as client:
        answer = client.post(url, json={"inputs": [wrong]})
    assert answer.status_code == 400
    assert "image" in answer.json()["error"]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_perf_analyzer(serving_stack: ServingStack, protocol: str) -> None:
    try:
        analyzer = find()
    except LoadGeneratorMissingError as missing:
        pytest.skip(str(missing))
    address = serving_stack.stack["triton"][protocol]
    done = analyzer.run(
        *("-m", "digits", "-u", address, "-i", protocol),
        *("--concurrency-range", "2", "--measurement-mode", "count_windows"),
        *("--measurement-request-count", "50", "--max-trials", "3"),
        # One window is enough: nothing here depends on how steady this machine is.
        *("-s", "1000"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Failed" not in done.stdout
    assert "Inferences/Second" in done.stdout


def test_the_metrics_count_each_request_once(
    serving_stack: ServingStack, image: tuple[np.ndarray, int]
) -> None:
    from tests.support.serving import samples

    def answered() -> float:
        page = samples(serving_stack)
        return sum(
            s.value
            for s in page
            if s.name == "nereid_requests_total"
            and s.labels["endpoint"] == "digits"
            and s.labels["outcome"] == "ok"
        )

    client = grpcclient.InferenceServerClient(serving_stack.stack["triton"]["grpc"])
    before = answered()
    for _ in range(25):
        client.infer("digits", tensor(grpcclient, image[0]))
    client.close()
    # A counter moves just after its answer was sent.
    serving_stack.wait_for(lambda: answered() - before >= 25, 10, "the counters")
    assert answered() - before == 25


def test_triton_is_closed_to_strangers(serving_stack: ServingStack) -> None:
    base = f"http://{serving_stack.stack['triton']['http']}/v2"
    closed = [
        "/repository/index",
        "/repository/models/digits/unload",
        "/repository/models/digits/load",
        "/systemsharedmemory/region/x/register",
    ]
    with httpx.Client(trust_env=False) as client:
        assert [client.post(base + path, json={}).status_code for path in closed] == [403] * 4
        assert client.get(base + "/logging").status_code == 403
        assert client.get(base + "/models/digits/config").status_code == 200
        assert client.get(base + "/models/digits/stats").status_code == 200
    grpc = grpcclient.InferenceServerClient(serving_stack.stack["triton"]["grpc"])
    with pytest.raises(Exception, match="restricted"):
        grpc.unload_model("digits")
    grpc.close()

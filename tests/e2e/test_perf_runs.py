"""A perf run by the real perf_analyzer, on a stack as people start it."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton

from control_plane.adapters.perf_analyzer.binary import find
from control_plane.ports.load import LoadGeneratorMissingError
from tests.support.serving import ServingStack

PATIENCE_S = 90.0
DIGITS = Path(__file__).resolve().parents[2] / "model_repository/samples/digits/v2/model.onnx"


@pytest.fixture(scope="module")
def client(serving_stack: ServingStack) -> Iterator[httpx.Client]:
    try:
        find()
    except LoadGeneratorMissingError as missing:
        pytest.skip(str(missing))
    with serving_stack.client() as client:
        yield client


def start(client: httpx.Client, target: dict[str, Any], **load: Any) -> dict[str, Any]:
    body = {"target": target, "server": "local", "window": "300ms", **load}
    answer = client.post("/perf-runs/", json=body)
    assert answer.status_code == 202, answer.text
    run: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == run["status_url"]
    return run


def until(
    client: httpx.Client, run: dict[str, Any], so: Callable[[dict[str, Any]], Any]
) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        seen: dict[str, Any] = client.get(f"/perf-runs/{run['id']}/").json()
        if so(seen):
            return seen
        assert not seen["finished_at"], seen["reason"]
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)


def pushed(client: httpx.Client, model: str) -> None:
    """A model of its own: what other tests served stays loaded for their way back."""
    assert client.post("/models/", json={"name": model}).status_code == 201
    metadata = {"framework": "onnx"}
    parts = {"artifact": DIGITS.read_bytes(), "metadata": (None, json.dumps(metadata))}
    answer = client.post(f"/models/{model}/versions/", files=parts)
    assert answer.status_code == 202, answer.text
    deadline = time.monotonic() + PATIENCE_S
    while client.get(f"/models/{model}/versions/1/").json()["state"] != "ready":
        assert time.monotonic() < deadline, "it is not ready"
        time.sleep(0.1)


def held(client: httpx.Client) -> set[str]:
    return {model["name"] for model in client.get("/servers/local/").json()["models"]}


def test_a_version_that_serves_nowhere_is_measured_and_unloaded(client: httpx.Client) -> None:
    pushed(client, "unserved")
    run = start(client, {"model": "unserved", "version": 1}, concurrency=[1, 2])
    done = until(client, run, lambda seen: seen["state"] == "succeeded")
    assert [level["value"] for level in done["levels"]] == [1, 2]
    for level in done["levels"]:
        assert level["requests"] > 0
        assert level["throughput"] > 0
        assert 0 < level["p50_us"] <= level["p90_us"] <= level["p95_us"] <= level["p99_us"]
        assert level["compute_infer_us"] > 0
    assert done["peak"] in done["levels"]
    address = next(path for path in done["files"] if path.endswith("/0/export.json"))
    export = json.loads(gzip.decompress(client.get(address).content))
    assert export["experiments"][0]["experiment"] == {"mode": "concurrency", "value": 1}
    deadline = time.monotonic() + PATIENCE_S
    while done["physical"] in held(client):
        assert time.monotonic() < deadline, "it is still loaded"
        time.sleep(0.2)


def test_a_cancelled_run_takes_its_load_away(
    client: httpx.Client, serving_stack: ServingStack
) -> None:
    run = start(client, {"endpoint": "digits"}, concurrency=[1], window="60s")
    until(client, run, lambda seen: seen["progress"] and _loading(serving_stack))
    assert client.post(f"/perf-runs/{run['id']}/cancel/", json={}).status_code == 202
    until(client, run, lambda seen: seen["state"] == "cancelled")
    assert not _loading(serving_stack)


def test_what_callers_sent_is_recorded_and_sent_to_another_version(
    client: httpx.Client, serving_stack: ServingStack
) -> None:
    asked = client.post("/endpoints/digits/recordings/", json={"requests": 4, "name": "sent"})
    assert asked.status_code == 202, asked.text
    address, deadline = "/endpoints/digits/recordings/sent/", time.monotonic() + PATIENCE_S
    pictures = np.random.default_rng(7).random((2, 1, 8, 8), np.float32)
    image = triton.InferInput("image", [2, 1, 8, 8], "FP32")
    image.set_data_from_numpy(pictures)
    caller = triton.InferenceServerClient(serving_stack.stack["triton"]["grpc"])
    while (found := client.get(address).json())["state"] != "ready":
        assert found["state"] != "failed", found["reason"]
        assert time.monotonic() < deadline, found
        caller.infer("digits", [image])
        time.sleep(0.05)
    assert (found["requests"], found["facts"]["rows"]) == (4, {"mean": 2, "most": 2})
    run = start(client, {"model": "digits", "version": 2}, concurrency=[1], input="recording:sent")
    done = until(client, run, lambda seen: seen["state"] == "succeeded")
    assert done["levels"][0]["requests"] > 0
    assert [path.rpartition("/")[2] for path in done["files"]] == ["report.csv"]
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404


@pytest.mark.long
def test_a_run_whose_worker_is_killed_has_failed(
    client: httpx.Client, serving_stack: ServingStack
) -> None:
    run = start(client, {"endpoint": "digits"}, concurrency=[1], window="60s")
    until(client, run, lambda seen: seen["progress"] and _loading(serving_stack))
    [worker] = [
        child
        for child in psutil.Process(serving_stack.pids["worker"]).children(recursive=True)
        if "perf@%h" in child.cmdline()
    ]
    worker.kill()
    failed = until(client, run, lambda seen: seen["state"] == "failed")
    assert "is gone" in failed["reason"]
    assert not _loading(serving_stack)


def _loading(stack: ServingStack) -> bool:
    address = stack.stack["triton"]["grpc"]
    return any(
        "perf_analyzer" in (process.info["name"] or "") and address in process.info["cmdline"]
        for process in psutil.process_iter(["name", "cmdline"])
    )

"""A tune by the real perf_analyzer, on a stack as people start it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from control_plane.adapters.perf_analyzer.binary import find
from control_plane.ports.load import LoadGeneratorMissingError
from tests.e2e.test_perf_runs import held, pushed
from tests.support.serving import ServingStack

pytestmark = pytest.mark.long
PATIENCE_S = 240.0


@pytest.fixture(scope="module")
def client(serving_stack: ServingStack) -> Iterator[httpx.Client]:
    try:
        find()
    except LoadGeneratorMissingError as missing:
        pytest.skip(str(missing))
    with serving_stack.client() as client:
        yield client


def until(
    client: httpx.Client, tune: dict[str, Any], so: Callable[[dict[str, Any]], Any]
) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        seen: dict[str, Any] = client.get(f"/tunes/{tune['id']}/").json()
        if so(seen):
            return seen
        assert not seen["finished_at"], seen["reason"]
        assert time.monotonic() < deadline, seen
        time.sleep(0.2)


def start(client: httpx.Client, model: str, **more: Any) -> dict[str, Any]:
    body = {
        "target": {"model": model, "version": 1},
        "server": "local",
        "latency_limit": "500ms",
        "max_concurrency": 8,
        "window": "200ms",
        "trials": 3,
        "space": {"max_batch_size": [8], "queue_delay_us": [0], "instances": [1, 2]},
        **more,
    }
    answer = client.post("/tunes/", json=body)
    assert answer.status_code == 202, answer.text
    tune: dict[str, Any] = answer.json()
    return tune


def test_a_version_that_serves_nowhere_is_tuned_and_unloaded(client: httpx.Client) -> None:
    pushed(client, "untuned")
    before = held(client)
    done = until(client, start(client, "untuned"), lambda seen: seen["state"] == "succeeded")
    kinds = [trial["kind"] for trial in done["trials"]]
    assert kinds[:3] == ["baseline", "calibration", "seed"]
    assert all(trial["levels"] for trial in done["trials"] if trial["state"] == "measured")
    assert len({trial["physical"] for trial in done["trials"]}) > 1
    result = done["result"]
    assert result["front"]
    assert result["model"]["fixed_us"] + result["model"]["row_us"] > 0
    assert result["chosen"]["throughput"] > 0
    deadline = time.monotonic() + PATIENCE_S
    while held(client) - before:
        assert time.monotonic() < deadline, held(client) - before
        time.sleep(0.2)


def test_a_cancelled_tune_leaves_nothing_loaded(client: httpx.Client) -> None:
    pushed(client, "untuned-too")
    before = held(client)
    tune = start(client, "untuned-too", window="30s")
    until(client, tune, lambda seen: seen["trials"] and seen["trials"][0]["run"])
    assert client.post(f"/tunes/{tune['id']}/cancel/", json={}).status_code == 202
    until(client, tune, lambda seen: seen["state"] == "cancelled")
    deadline = time.monotonic() + PATIENCE_S
    while held(client) - before:
        assert time.monotonic() < deadline, held(client) - before
        time.sleep(0.2)

"""Real servers behind the edge: one is killed and nobody notices; who has what is found by name."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from control_plane.adapters.edge.administration import ask_admin
from control_plane.adapters.edge.binary import EnvoyMissingError, find_envoy
from nereid import Client
from tests.support.edge_callers import SAMPLE, EdgeCallers, inference
from tests.support.processes import eventually, is_gone
from tests.support.serving import ServingStack

pytestmark = pytest.mark.timeout(600)

HERE_ONLY = "here-only"
TWO = ("local", "local-2")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingStack]:
    try:
        find_envoy()
    except EnvoyMissingError as error:
        pytest.skip(str(error))
    serving = ServingStack(tmp_path_factory.mktemp("edge") / "home", servers=2, edge=True)
    serving.start()
    yield serving
    serving.stop()


@pytest.fixture(scope="module")
def over_grpc(stack: ServingStack) -> Iterator[tritonclient.grpc.InferenceServerClient]:
    with tritonclient.grpc.InferenceServerClient(stack.edge["grpc"]) as client:
        yield client


@pytest.fixture(scope="module")
def over_http(stack: ServingStack) -> Iterator[tritonclient.http.InferenceServerClient]:
    with tritonclient.http.InferenceServerClient(stack.edge["http"].partition("://")[2]) as client:
        yield client


def kill(stack: ServingStack, process: str) -> None:
    """`kill -9`; returns when it is gone."""
    pid = stack.pids[process]
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: is_gone(pid))


def gates_are_open(stack: ServingStack) -> bool:
    try:
        return all(
            httpx.get(f"{server['gate']}/ready", timeout=2).status_code == 200
            for server in stack.servers.values()
        )
    except httpx.HTTPError:
        return False


def sent_again(stack: ServingStack) -> list[str]:
    """Envoy's counts of what it sent a second time."""
    bootstrap = json.loads((stack.home / "edge" / "bootstrap.json").read_text())
    said = ask_admin(bootstrap["admin"]["address"]["pipe"]["path"], "/stats?filter=rq_retry$")
    found = said.decode().splitlines()
    assert len(found) == 2, "one for each protocol"
    return found


def streamed(client: tritonclient.grpc.InferenceServerClient, name: str) -> None:
    """Twenty streams of one request each; the first message names the model."""
    answers: queue.Queue[object] = queue.Queue()
    pixels = SAMPLE.image(0).pixels[None, None].astype(np.float32)
    given = tritonclient.grpc.InferInput(SAMPLE.input, list(pixels.shape), "FP32")
    given.set_data_from_numpy(pixels)
    for _ in range(20):
        client.start_stream(lambda result, error: answers.put(error))
        client.async_stream_infer(name, [given])
        assert answers.get(timeout=20) is None
        client.stop_stream()


def is_back(stack: ServingStack, process: str, killed: int) -> bool:
    return stack.pids[process] != killed and gates_are_open(stack)


def test_the_control_apis_end_at_the_edge(
    stack: ServingStack, over_grpc: tritonclient.grpc.InferenceServerClient
) -> None:
    for call in (
        lambda: over_grpc.load_model("digits"),
        lambda: over_grpc.unload_model("digits"),
        lambda: over_grpc.get_model_repository_index(),
        lambda: over_grpc.register_system_shared_memory("a", "/a", 4),
        lambda: over_grpc.update_trace_settings(None, {}),
        lambda: over_grpc.update_log_settings({}),
        # The right key would not be taken either: it has no business on this way.
        lambda: over_grpc.is_server_ready(
            headers={"triton-grpc-protocol-nereid-shm": shm_key(stack)}
        ),
    ):
        with pytest.raises(InferenceServerException, match="PERMISSION_DENIED"):
            call()
    with httpx.Client(base_url=stack.edge["http"]) as http:
        for path in (
            *("/v2/repository/models/digits/unload", "/v2/systemsharedmemory/region/a/register"),
            *("/v2/models/digits/trace/setting", "/v2/logging", "/v2/repository/index"),
        ):
            assert http.post(path, json={}).status_code == 403, path
        assert http.get("/v2/models/digits").json()["name"] == "digits"


def test_a_request_in_a_million_chunks_ends_no_server(stack: ServingStack) -> None:
    """Sent to Triton 2.51 itself it does (CVE-2025-23310); the edge sends it on in one piece."""
    tritons = {name: pid for name, pid in stack.pids.items() if name.startswith("triton")}
    host, _, port = stack.edge["http"].partition("://")[2].partition(":")
    words = ("Host: edge", "Connection: close", "Transfer-Encoding: chunked", "", "")
    head = "\r\n".join(("POST /v2/models/digits/infer HTTP/1.1", *words)).encode()
    with socket.create_connection((host, int(port)), timeout=60) as caller:
        caller.sendall(head + b"1\r\n \r\n" * 1_000_000 + b"0\r\n\r\n")
        said = b"".join(iter(lambda: caller.recv(65_536), b""))
    assert b"failed to parse the request JSON" in said, "it is Triton that refuses"
    assert {name: stack.pids[name] for name in tritons} == tritons
    assert all(not is_gone(pid) for pid in tritons.values())


def shm_key(stack: ServingStack) -> str:
    [key] = stack.stack["triton"]["headers"]["grpc"].values()
    return str(key)


def test_doctor_asks_the_gates_and_knows_the_edge(stack: ServingStack) -> None:
    def checks(area: str) -> list[tuple[str, str]]:
        command = [sys.executable, "-m", "nereid", "doctor", "--json", "--no-inference"]
        done = subprocess.run(
            command, env=stack.environment, capture_output=True, text=True, check=False
        )
        found = json.loads(done.stdout)["checks"]
        return [(one["state"], one["said"]) for one in found if one["area"] == area]

    assert [state for state, _ in checks("gates")] == ["ok", "ok"]
    assert eventually(lambda: [state for state, _ in checks("edge")] == ["ok"], 30)
    [(_, said)] = checks("edge")
    assert "2 of 2 servers" in said
    assert stack.edge["grpc"] in said


def test_an_endpoint_that_one_server_has_is_found_by_its_name(
    stack: ServingStack,
    over_grpc: tritonclient.grpc.InferenceServerClient,
    over_http: tritonclient.http.InferenceServerClient,
) -> None:
    with Client(stack.api, stack.token) as nereid:
        nereid.ensure_endpoint(HERE_ONLY)
        nereid.put_placement(HERE_ONLY, {"servers": {"server": "local-2"}})
        arms = [{"model": "digits", "version": 1, "weight": 100}]
        accepted = nereid.put_policy(HERE_ONLY, {"arms": arms}, etag="*")
        assert nereid.wait_endpoint(HERE_ONLY, generation=accepted.generation).status == "Healthy"
        assert nereid.placement(HERE_ONLY).servers == ("local-2",)
    listed = stack.home / "edge" / "endpoints-grpc.json"
    assert eventually(lambda: HERE_ONLY in listed.read_text(), 30)
    assert eventually(lambda: over_grpc.is_model_ready(HERE_ONLY), 30)

    elsewhere = stack.servers["local"]["grpc"]
    with tritonclient.grpc.InferenceServerClient(elsewhere) as direct:
        assert not direct.is_model_ready(HERE_ONLY), "so chance would miss it half of the time"
    plainly = inference(tritonclient.grpc, HERE_ONLY)
    by_path = inference(tritonclient.http, HERE_ONLY)
    before = sent_again(stack)
    for _ in range(20):
        plainly(over_grpc)
        plainly(over_grpc, headers={"nereid-model": HERE_ONLY})
        by_path(over_http)
    streamed(over_grpc, HERE_ONLY)
    assert sent_again(stack) == before, "it was found, not tried until it was"
    assert over_grpc.get_model_metadata(HERE_ONLY).name == HERE_ONLY
    assert over_http.get_model_metadata(HERE_ONLY)["name"] == HERE_ONLY


def test_a_server_that_is_killed_fails_nobody(stack: ServingStack) -> None:
    with EdgeCallers(stack.edge).calling() as callers:
        assert eventually(callers.went_on(), 60)
        killed = stack.pids["triton"]
        kill(stack, "triton")
        assert eventually(callers.went_on(), 60)
        assert eventually(lambda: is_back(stack, "triton", killed), 120)
        assert eventually(callers.went_on(), 60)
    assert callers.errors == []


@pytest.mark.long
def test_whoever_is_killed_in_turn_fails_nobody(stack: ServingStack) -> None:
    with EdgeCallers(stack.edge).calling() as callers:
        for process in ("triton-2", "node", "edge-files", "postgres", "broker", "worker", "node-2"):
            assert eventually(callers.went_on(), 60)
            killed = stack.pids[process]
            kill(stack, process)
            assert eventually(lambda: is_back(stack, process, killed), 180), process  # noqa: B023
            assert eventually(callers.went_on(), 60)
    assert callers.errors == []

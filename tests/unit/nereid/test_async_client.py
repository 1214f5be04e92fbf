"""The async client, and the one line of a training script."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from pathlib import Path
from typing import Any

import httpx
import pytest

from nereid import AsyncClient, ChecksumError, Client, ProblemError, Retry, VersionRejectedError
from tests.support.control_plane_answers import (
    API,
    FakeServer,
    accepted,
    answer,
    endpoint,
    model,
    problem,
    version,
)

CONTENT = b"weights"
STORED = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "size": 7, "filename": "model.onnx"}


def client(server: FakeServer, **options: Any) -> AsyncClient:
    return AsyncClient(API, "nrd_test", transport=server.transport(), **options)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(CONTENT)
    return path


def test_both_clients_have_the_same_calls() -> None:
    def calls(kind: type) -> dict[str, list[str]]:
        return {
            name: [p for p in inspect.signature(getattr(kind, name)).parameters if p != "self"]
            for name in dir(kind)
            if not name.startswith("_") and name not in {"from_environment", "api", "retry"}
        }

    assert calls(AsyncClient) == calls(Client)
    assert calls(Client)["put_policy"] == ["endpoint", "policy", "etag", "reason"]
    assert "kill switch" in (AsyncClient.kill.__doc__ or "")


async def test_calls_are_awaited_side_by_side() -> None:
    server = FakeServer(
        {
            "GET /models/digits/": answer(model()),
            "GET /endpoints/digits/": answer(endpoint()),
        }
    )
    async with client(server) as nereid:
        found, serving = await asyncio.gather(nereid.model("digits"), nereid.endpoint("digits"))
    assert (found.name, serving.status) == ("digits", "Healthy")
    assert server.requests[0].headers["authorization"] == "Bearer nrd_test"


async def test_a_problem_is_raised_with_its_document() -> None:
    server = FakeServer({"POST /endpoints/digits/kill/": problem(409, "Conflict", "no policy")})
    async with client(server) as nereid:
        with pytest.raises(ProblemError) as raised:
            await nereid.kill("digits")
    assert raised.value.document["detail"] == "no policy"


async def test_what_breaks_is_asked_again_with_the_same_key() -> None:
    def breaks(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("reset", request=request)

    server = FakeServer({"POST /endpoints/digits/kill/": [breaks, answer(accepted(3), 202)]})
    async with client(server, retry=Retry(first=0.001)) as nereid:
        assert (await nereid.kill("digits")).generation == 3
    one, other = (request.headers["idempotency-key"] for request in server.requests)
    assert one == other


async def test_waiting_and_pushing(weights: Path) -> None:
    server = FakeServer(
        {
            "POST /models/digits/versions/": answer(version(2, "validating", artifact=STORED), 202),
            "GET /models/digits/versions/2/": [
                answer(version(2, "validating")),
                answer(version(2, "ready")),
            ],
        }
    )
    async with client(server) as nereid:
        pushed = await nereid.push("digits", str(weights), wait=True)
    assert (pushed.number, pushed.state) == (2, "ready")
    assert CONTENT in server.sent("POST", "/versions/").content


async def test_a_cancelled_call_ends(weights: Path) -> None:
    server = FakeServer({"GET /endpoints/digits/": answer(endpoint("Progressing"))})
    async with client(server) as nereid:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await nereid.wait_endpoint("digits", generation=9)
        assert (await nereid.endpoint("digits")).status == "Progressing"


def serve(monkeypatch: pytest.MonkeyPatch, server: FakeServer) -> None:
    """Lets `Client()` find a control plane, and the fake one answer in its place."""
    monkeypatch.setenv("NEREID_API", API)
    monkeypatch.setenv("NEREID_TOKEN", "nrd_env")
    real = httpx.Client

    def fake(**options: Any) -> httpx.Client:
        return real(**{**options, "transport": server.transport()})

    monkeypatch.setattr("nereid.client.httpx.Client", fake)


def test_a_training_script_needs_one_line(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    server = FakeServer(
        {"POST /models/digits/versions/": answer(version(2, "validating", artifact=STORED), 202)}
    )
    serve(monkeypatch, server)
    assert Client.push("digits", str(weights), metrics={"accuracy": 0.98}).number == 2
    assert server.requests[0].headers["authorization"] == "Bearer nrd_env"
    assert b'"accuracy": 0.98' in server.requests[0].content


def test_push_makes_the_model_and_waits(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    server = FakeServer(
        {
            "POST /models/": answer(model("new"), 201),
            "POST /models/new/versions/": answer(version(1, "validating", artifact=STORED), 202),
            "GET /models/new/versions/1/": answer(version(1, "rejected", state_reason="no ONNX")),
        }
    )
    serve(monkeypatch, server)
    with pytest.raises(VersionRejectedError, match="new:1 is rejected: no ONNX"):
        Client.push("new", weights, create=True, wait=True)
    assert "DELETE /models/new/" not in server.calls  # the version is there, and says why


def test_a_model_made_for_nothing_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, weights: Path
) -> None:
    server = FakeServer(
        {
            "POST /models/": answer(model("new"), 201),
            "POST /models/new/versions/": problem(400, "Bad Request", "no ONNX"),
            "DELETE /models/new/": httpx.Response(204),
        }
    )
    serve(monkeypatch, server)
    with pytest.raises(ProblemError, match="no ONNX"):
        Client.push("new", weights, create=True)
    assert server.calls[-1] == "DELETE /models/new/"


@pytest.mark.parametrize("sent", [CONTENT, b"broken!"])
async def test_a_download_is_whole_or_not_there(tmp_path: Path, sent: bytes) -> None:
    server = FakeServer(
        {
            "GET /models/digits/versions/1/": answer(version(artifact=STORED)),
            "GET /models/digits/versions/1/download": httpx.Response(200, content=sent),
        }
    )
    target = tmp_path / "model.onnx"
    async with client(server) as nereid:
        if sent == CONTENT:
            await nereid.download("digits", 1, target)
        else:
            with pytest.raises(ChecksumError):
                await nereid.download("digits", 1, target)
    assert [path.name for path in tmp_path.iterdir()] == (["model.onnx"] if sent == CONTENT else [])


def test_a_blocking_download_is_the_same(tmp_path: Path) -> None:
    server = FakeServer(
        {
            "GET /models/digits/versions/1/": answer(version(artifact=STORED)),
            "GET /models/digits/versions/1/download": httpx.Response(200, content=CONTENT),
            "GET /models/digits/versions/2/": answer(version(2)),
            "GET /models/digits/versions/2/download": problem(404, "Not Found", "lost"),
        }
    )
    with Client(API, "t", transport=server.transport()) as nereid:
        assert nereid.download("digits", 1, tmp_path / "a").read_bytes() == CONTENT
        with pytest.raises(ProblemError, match="lost"):
            nereid.download("digits", 2, tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]

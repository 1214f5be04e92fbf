"""`nereid perf`, against a control plane's answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nereid.cli import run
from tests.support.control_plane_answers import FakeServer, answer, model, printed, problem


def level(value: float, throughput: float, p99: float, **more: Any) -> dict[str, Any]:
    figures = dict.fromkeys(("mean_us", "p50_us", "p90_us", "p95_us"), p99 / 2)
    parts = {"queue_us": p99 / 8, "compute_infer_us": p99 / 4, "network_us": p99 / 8}
    return {
        **figures,
        **parts,
        "value": value,
        "throughput": throughput,
        "p99_us": p99,
        "requests": 100,
        "spread": 3.0,
        **more,
    }


def perf_run(number: int = 7, state: str = "succeeded", speed: float = 1.0) -> dict[str, Any]:
    levels = [level(1, 500 * speed, 2000 / speed), level(4, 1600 * speed, 5000 / speed, spread=60)]
    return {
        "id": number,
        "state": state,
        "reason": "every level was measured" if state == "succeeded" else "unexpected shape",
        "target": "digits:2",
        "server": "lab-1",
        "request": {"concurrency": [1, 4], "input": "golden", "protocol": "grpc"},
        "progress": {},
        "peak": levels[1],
        "levels": levels,
        "asked_by": "ada",
        "created_at": "2026-01-02T03:04:05Z",
    }


def lab(state: str = "succeeded", **more: Any) -> FakeServer:
    servers = [{"name": "lab-1", "lab": True}, {"name": "prod-1", "lab": False}]
    return FakeServer(
        {
            "GET /servers/": answer({"results": servers, "next": None}),
            "GET /models/digits/": answer(model()),
            "GET /models/line/": problem(404, "Not Found"),
            "POST /perf-runs/": answer(perf_run(state="queued"), 202),
            "GET /perf-runs/7/": answer(perf_run(state=state)),
            "GET /perf-runs/8/": answer(perf_run(8, speed=2)),
            "GET /perf-runs/": answer({"results": [perf_run()], "next": None}),
            "POST /perf-runs/7/cancel/": answer(perf_run(state="cancelling"), 202),
            "PATCH /servers/lab-1/": answer({"name": "lab-1", "lab": True}),
            **more,
        }
    )


def body(server: FakeServer) -> dict[str, Any]:
    [sent] = [one for one in server.requests if one.method == "POST"]
    read: dict[str, Any] = json.loads(sent.content)
    return read


@pytest.mark.parametrize(
    ("words", "target", "load"),
    [
        (["digits"], {"endpoint": "digits"}, {}),
        (["digits.v2"], {"model": "digits", "version": 2}, {}),
        (["line:3"], {"pipeline": "line", "revision": 3}, {}),
        (["digits", "--concurrency", "1,2,8"], {"endpoint": "digits"}, {"concurrency": [1, 2, 8]}),
        (
            ["digits", "--request-rate", "0.5-2:0.5", "--distribution", "poisson"],
            {"endpoint": "digits"},
            {"request_rate": {"from": 0.5, "to": 2, "step": 0.5}, "distribution": "poisson"},
        ),
        (
            ["digits", "--concurrency", "1-64", "--search", "--latency-limit", "20ms"],
            {"endpoint": "digits"},
            {"concurrency": {"from": 1, "to": 64, "search": True}, "latency_limit": "20ms"},
        ),
        (
            ["digits", "--shape", "tokens:1,128", "--allow-production"],
            {"endpoint": "digits"},
            {"shapes": {"tokens": [1, 128]}, "allow_production": True},
        ),
    ],
)
def test_words_become_a_request(
    tmp_path: Path, words: list[str], target: dict[str, Any], load: dict[str, Any]
) -> None:
    server = lab()
    session = server.session(tmp_path)
    assert run(["perf", "run", *words], session) == 0
    assert body(server) == {"target": target, "server": "lab-1", **load}
    out = printed(session.out)
    assert "4 callers" in out
    assert "1,600/s" in out
    assert "unsteady" in out
    assert "compute infer 1.25 ms" in out


@pytest.mark.parametrize(
    "words",
    [
        ["--concurrency", "1,x"],
        ["--concurrency", "1,2", "--search"],
        ["--search"],
        ["--shape", "tokens"],
    ],
)
def test_what_cannot_be_read_is_wrong_usage(tmp_path: Path, words: list[str]) -> None:
    server = lab()
    assert run(["perf", "run", "digits", *words], server.session(tmp_path)) == 2
    assert not any(call.startswith("POST") for call in server.calls)


def test_a_run_that_failed_exits_1_with_its_reason(tmp_path: Path) -> None:
    session = lab("failed").session(tmp_path)
    assert run(["perf", "run", "digits"], session) == 1
    assert "unexpected shape" in printed(session.out)


def test_one_of_several_labs_is_named(tmp_path: Path) -> None:
    two = [{"name": "lab-1", "lab": True}, {"name": "lab-2", "lab": True}]
    server = lab(**{"GET /servers/": answer({"results": two, "next": None})})
    assert run(["perf", "run", "digits"], server.session(tmp_path)) == 2
    assert run(["perf", "run", "digits", "--server", "lab-2"], server.session(tmp_path)) == 0
    assert body(server)["server"] == "lab-2"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["perf", "list"], "digits:2"),
        (["perf", "show", "7"], "where 2.5 ms go at 4 callers"),
        (["perf", "compare", "7", "8"], "+100 %"),
        (["perf", "run", "digits", "--watch"], "1,600/s"),
    ],
)
def test_runs_are_shown(tmp_path: Path, words: list[str], said: str) -> None:
    session = lab().session(tmp_path)
    assert run(words, session) == 0
    assert said in printed(session.out)
    session = lab().session(tmp_path)
    if "--watch" not in words:
        assert run([*words, "--json"], session) == 0
        assert json.loads(printed(session.out))


def test_a_run_is_cancelled_and_a_server_is_a_lab(tmp_path: Path) -> None:
    server = lab()
    session = server.session(tmp_path)
    assert run(["perf", "cancel", "7", "--reason", "wrong server"], session) == 0
    assert body(server) == {"reason": "wrong server"}
    assert run(["servers", "lab", "lab-1", "on"], session) == 0
    assert json.loads(server.requests[-1].content) == {"lab": True}
    assert "lab-1 is a lab" in printed(session.err)

"""`nereid tune`, against a control plane's answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nereid.cli import run
from tests.support.control_plane_answers import FakeServer, answer, printed
from tests.unit.nereid.test_perf_commands import level

CONFIGURATION = {"max_batch_size": 16, "instances": 2}


def point(rate: float, p99: float, said: str = "batch 16, 2 instances") -> dict[str, Any]:
    return {
        "configuration": CONFIGURATION,
        "said": said,
        "load": 16,
        "throughput": rate,
        "latency_us": p99,
        "instances": 2,
        "within": True,
        "times": 2,
        "trials": [3, 4],
    }


def result(better: bool = True) -> dict[str, Any]:
    changes = [{"what": "max batch", "before": "64", "after": "16"}] if better else []
    return {
        "chosen": point(3910, 15_000),
        "present": point(2700, 13_300, "batch 64, 1 instance"),
        "gain": 44.8,
        "changes": changes,
        "overrides": {"max_batch_size": 16} if better else {},
        "profile": {"max_batch_size": 16},
        "diff": "--- as it is served\n+++ tuned\n-  64\n+  16" if better else "",
        "front": [point(3910, 15_000), point(900, 2000, "batch 4, 1 instance")],
        "remarks": ["callers who send more than 16 rows are refused"],
        "measurements": 19,
    }


def tune(state: str = "succeeded", **more: Any) -> dict[str, Any]:
    trials = [
        {
            "number": number,
            "kind": kind,
            "state": "failed" if kind == "search" else "measured",
            "reason": "out of memory" if kind == "search" else "",
            "why": "may be better",
            "said": "batch 16, 2 instances",
            "loads": [1, 4] if kind == "calibration" else [16],
            "levels": [] if kind == "search" else [level(16, 3910, 15_000)],
        }
        for number, kind in enumerate(("baseline", "calibration", "seed", "search"), start=1)
    ]
    return {
        "id": 7,
        "state": state,
        "reason": "nothing else is likely to be better",
        "target": "digits:3",
        "name": "digits",
        "number": 3,
        "server": "lab-1",
        "objective": "throughput",
        "request": {"percentile": 99, "latency_limit": "20ms"},
        "result": result() if state == "succeeded" else None,
        "trials": trials,
        "asked_by": "ada",
        "created_at": "2026-01-02T03:04:05Z",
        **more,
    }


def lab(state: str = "succeeded", **more: Any) -> FakeServer:
    servers = [{"name": "lab-1", "lab": True}, {"name": "prod-1", "lab": False}]
    return FakeServer(
        {
            "GET /servers/": answer({"results": servers, "next": None}),
            "POST /tunes/": answer(tune("queued"), 202),
            "GET /tunes/7/": answer(tune(state)),
            "GET /tunes/": answer({"results": [tune()], "next": None}),
            "POST /tunes/7/cancel/": answer(tune("cancelling"), 202),
            "POST /tunes/7/apply/": answer({"generation": 5, "change": None}, 202),
            "PUT /profiles/quick/": answer({"name": "quick", "document": {}}, 201),
            **more,
        }
    )


def body(server: FakeServer) -> dict[str, Any]:
    [sent, *_] = [one for one in server.requests if one.method in ("POST", "PUT")]
    read: dict[str, Any] = json.loads(sent.content)
    return read


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["digits.v3", "--p99", "20ms"], {"latency_limit": "20ms", "percentile": 99}),
        (["run", "digits:3", "--p95", "5ms"], {"latency_limit": "5ms", "percentile": 95}),
        (
            ["digits.v3", "--objective", "latency", "--rate", "400", "--trials", "9"],
            {"objective": "latency", "rate": 400, "trials": 9},
        ),
        (
            ["digits.v3", "--space", "instances=1,2", "--space", "preferred=false"],
            {"space": {"instances": [1, 2], "preferred": [False]}},
        ),
        (["digits.v3", "--time", "5m", "--window", "1s"], {"time": "5m", "window": "1s"}),
    ],
)
def test_words_become_a_request(words: list[str], said: dict[str, Any], tmp_path: Path) -> None:
    server = lab()
    assert run(["tune", *words, "--detach"], server.session(tmp_path)) == 0
    sent = body(server)
    assert sent["target"] == {"model": "digits", "version": 3}
    assert sent["server"] == "lab-1"
    assert said.items() <= sent.items()


@pytest.mark.parametrize(
    "words",
    [["digits"], ["digits.v3", "--p99", "1ms", "--p50", "1ms"], ["digits.v3", "--space", "x"]],
)
def test_what_cannot_be_read_is_wrong_usage(words: list[str], tmp_path: Path) -> None:
    server = lab()
    assert run(["tune", *words], server.session(tmp_path)) == 2
    assert not [one for one in server.requests if one.method == "POST"]


def test_it_ends_with_the_front_the_diff_and_what_applies_it(tmp_path: Path) -> None:
    server = lab()
    session = server.session(tmp_path)
    assert run(["tune", "digits.v3", "--p99", "20ms"], session) == 0
    said = printed(session.out)
    for text in (
        *("Pareto front", "chosen", "3,910/s", "15 ms", "+44.8 %", "from 19 measurements"),
        *("+  16", "are refused", "nereid tune apply 7 --endpoint digits", "out of memory"),
        "1, 4 rows",
    ):
        assert text.replace("44.8", "45") in said, text


def test_one_that_failed_is_told_by_its_exit_code(tmp_path: Path) -> None:
    assert run(["tune", "digits.v3"], lab("failed").session(tmp_path)) == 1


def test_it_is_listed_shown_cancelled_and_applied(tmp_path: Path) -> None:
    server = lab()
    session = server.session(tmp_path)
    assert run(["tune", "list"], session) == 0
    assert "+45 %" in printed(session.out)
    assert run(["tune", "show", "7", "--json"], server.session(tmp_path)) == 0
    assert run(["tune", "cancel", "7", "--reason", "wrong"], server.session(tmp_path)) == 0
    assert body(server) == {"reason": "wrong"}
    applied = lab()
    assert run(["tune", "apply", "7", "--yes"], applied.session(tmp_path)) == 0
    assert body(applied) == {"endpoint": "digits"}
    kept = lab()
    assert run(["tune", "apply", "7", "--profile", "quick"], kept.session(tmp_path)) == 0
    assert body(kept) == {"max_batch_size": 16}
    assert (
        run(["tune", "apply", "7", "--profile", "x", "--endpoint", "y"], lab().session(tmp_path))
        == 2
    )


def test_apply_at_the_end_serves_it(tmp_path: Path) -> None:
    server = lab()
    assert (
        run(["tune", "digits.v3", "--apply", "--endpoint", "other"], server.session(tmp_path)) == 0
    )
    sent = [json.loads(one.content) for one in server.requests if one.method == "POST"]
    assert sent[-1] == {"endpoint": "other"}
    nothing = lab(**{"GET /tunes/7/": answer(tune(result=result(better=False)))})
    assert run(["tune", "digits.v3", "--apply"], nothing.session(tmp_path)) == 0
    assert len([one for one in nothing.requests if one.method == "POST"]) == 1

"""`nereid servers` and `nereid versions`, against a control plane's answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nereid.cli import run
from tests.support.control_plane_answers import FakeServer, answer, printed, problem, version


def server(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "status": "Unknown",
        "http": "127.0.0.1:8000",
        "grpc": "127.0.0.1:8001",
        "metrics": "http://127.0.0.1:8002/metrics",
        "accelerator": "cpu",
        "models": [{"name": "digits.v1.9f2c1a", "version": "1", "state": "READY"}],
        "endpoints": [{"endpoint": "digits", "status": "Healthy", "generation": 1}],
    }


def fleet(**more: Any) -> FakeServer:
    return FakeServer(
        {
            "GET /servers/": answer({"results": [server("lab-1"), server("remove")], "next": None}),
            "GET /servers/lab-1/": answer(server("lab-1")),
            "GET /servers/remove/": answer(server("remove")),
            "DELETE /servers/lab-1/": answer({}, 204),
            **more,
        }
    )


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ([], "GET /servers/"),
        (["lab-1"], "GET /servers/lab-1/"),
        (["show", "remove"], "GET /servers/remove/"),
    ],
)
def test_servers_are_shown(tmp_path: Path, arguments: list[str], asked: str) -> None:
    lab = fleet()
    session = lab.session(tmp_path)
    assert run(["servers", *arguments], session) == 0
    assert lab.calls == [asked]
    assert "digits.v1.9f2c1a" in printed(session.out)
    session = lab.session(tmp_path)
    assert run(["servers", *arguments, "--json"], session) == 0
    assert json.loads(printed(session.out))


def test_a_server_is_removed_when_somebody_said_so(tmp_path: Path) -> None:
    lab = fleet()
    assert run(["servers", "remove", "lab-1"], lab.session(tmp_path)) == 2
    assert not any(call.startswith("DELETE") for call in lab.calls)
    session = lab.session(tmp_path)
    assert run(["servers", "remove", "lab-1", "--yes"], session) == 0
    assert lab.calls[-1] == "DELETE /servers/lab-1/"
    assert "lab-1 is removed" in printed(session.err)


def test_a_server_that_stays_says_why(tmp_path: Path) -> None:
    said = "lab-1 is the only server that holds digits"
    lab = fleet(**{"DELETE /servers/lab-1/": problem(409, "Conflict", said)})
    session = lab.session(tmp_path)
    assert run(["servers", "remove", "lab-1", "--yes"], session) == 1
    assert said in printed(session.err)


def test_versions_of_all_models_are_found(tmp_path: Path) -> None:
    rejected = version(2, "rejected", state_reason="opset 99", tags={"stage": "trial"})
    rows = [rejected, version(1)]
    answers = FakeServer({"GET /versions/": answer({"results": rows, "next": None})})
    session = answers.session(tmp_path)
    command = ["versions", "--state", "rejected", "--by", "ada", "--tag", "stage:trial"]
    assert run([*command, "-n", "1"], session) == 0
    asked = dict(answers.requests[0].url.params)
    assert asked == {"state": "rejected", "created_by": "ada", "tag": "stage:trial", "limit": "2"}
    out = printed(session.out)
    assert "digits:2" in out
    assert "opset 99" in out
    assert "digits:1" not in out
    assert "There are more" in printed(session.err)
    session = answers.session(tmp_path)
    assert run(["versions", "--all", "--json"], session) == 0
    assert json.loads(printed(session.out))["results"] == rows

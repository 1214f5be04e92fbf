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


def scheduled(state: str, *left: str) -> dict[str, Any]:
    waits = [{"endpoint": name, "reason": "is being drained"} for name in left]
    return {**server("lab-1"), "scheduling": {"state": state, "left": waits}}


def test_a_server_is_cordoned_drained_and_labelled(tmp_path: Path) -> None:
    lab = fleet(
        **{
            "POST /servers/lab-1/cordon/": answer(scheduled("Cordoned")),
            "POST /servers/lab-1/drain/": answer(scheduled("Draining", "digits")),
            "GET /servers/lab-1/": answer(scheduled("Drained")),
            "PATCH /servers/lab-1/": answer({**server("lab-1"), "labels": {"zone": "a"}}),
        }
    )
    for words, said in (
        (["cordon", "lab-1"], "nothing new is placed there"),
        (["drain", "lab-1", "--reason", "disk"], "digits: is being drained"),
        (["drain", "lab-1", "--wait"], "lab-1 is drained"),
        (["label", "lab-1", "zone=a", "old-"], "zone=a"),
    ):
        session = lab.session(tmp_path)
        assert run(["servers", *words], session) == 0
        assert said in printed(session.err)
    assert run(["servers", "label", "lab-1", "zone"], lab.session(tmp_path)) == 2
    assert run(["servers", "remove", "lab-1", "--force", "--yes"], lab.session(tmp_path)) == 2


def test_an_endpoint_is_placed(tmp_path: Path) -> None:
    part = {"server": "lab-1", "standing": "refused", "reason": "has no label zone"}
    placing = {"servers": ["a"], "explanation": [part], "problem": "1 of 2 replicas"}
    path = "/endpoints/digits/placement/"
    lab = FakeServer(
        {
            f"GET {path}": answer({**placing, "placement": None, "words": "all servers"}),
            f"PUT {path}": answer({**placing, "placement": {}, "words": "2 of all servers"}),
            f"DELETE {path}": answer({**placing, "placement": None, "words": "all servers"}),
            f"POST {path}plan/": answer(placing),
        }
    )
    wanted = ["--on", "zone=a,b", "--replicas", "2", "--spread", "rack"]
    for words, call in (
        ([], f"GET {path}"),
        (wanted, f"PUT {path}"),
        ([*wanted, "--dry-run"], f"POST {path}plan/"),
        (["--everywhere"], f"DELETE {path}"),
    ):
        session = lab.session(tmp_path)
        assert run(["place", "digits", *words], session) == 0
        assert lab.calls[-1] == call
        assert "has no label zone" in printed(session.out)
    for wrong in (["--dry-run"], ["--everywhere", "--replicas", "2"], ["--on", "zone"]):
        assert run(["place", "digits", *wrong], lab.session(tmp_path)) == 2


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

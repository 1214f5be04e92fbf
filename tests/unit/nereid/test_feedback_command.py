"""`nereid feedback` and the client's calls: what is sent, in which pieces, and what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nereid import AsyncClient, Client, FeedbackTaken
from nereid.cli import run
from tests.support.control_plane_answers import API, FakeServer, answer, printed

PATH = "POST /endpoints/digits/feedback/"
TAKEN = {"counted": 1, "waiting": 1, "repeated": 0, "status_url": "x"}


def taking() -> FakeServer:
    return FakeServer({PATH: answer(TAKEN, 202)})


def bodies(server: FakeServer) -> list[Any]:
    return [json.loads(request.content) for request in server.requests]


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (
            ["correct", "--request", "r-1", "--value", "1"],
            {"outcome": "correct", "request_id": "r-1", "value": 1},
        ),
        (
            ["correct", "--arm", "candidate", "--count", "95", "--of", "100"],
            {"outcome": "correct", "arm": "candidate", "count": 95, "of": 100},
        ),
    ],
)
def test_one_report(words: list[str], body: Any, tmp_path: Path) -> None:
    server = taking()
    session = server.session(tmp_path)
    assert run(["feedback", "digits", *words], session) == 0
    assert bodies(server) == [body]
    assert "1 counted, 1 waiting for the arm that answered" in printed(session.err)


def test_a_file_goes_in_thousands(tmp_path: Path) -> None:
    lines = [json.dumps({"outcome": "x", "request_id": str(i), "value": 1}) for i in range(1_001)]
    file = tmp_path / "labels.jsonl"
    file.write_text("\n\n".join(lines))
    server = taking()
    session = server.session(tmp_path)
    assert run(["feedback", "digits", "--file", str(file), "--json"], session) == 0
    first, last = bodies(server)
    assert (len(first), last["request_id"]) == (1_000, "1000")
    assert json.loads(printed(session.out)) == {"counted": 2, "waiting": 2, "repeated": 0}


@pytest.mark.parametrize(
    "words",
    [
        ["--value", "1"],
        ["x", "--file", "-"],
        ["--file", "absent"],
        ["--file", "odd"],
        ["--of", "x"],
    ],
)
def test_wrong_usage_asks_nobody(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "odd").write_text('{"outcome": "x"}\n[1]\n')
    words = [str(tmp_path / "odd") if word == "odd" else word for word in words]
    server = taking()
    assert run(["feedback", "digits", *words], server.session(tmp_path)) == 2
    assert server.requests == []


def test_what_was_reported_is_shown(tmp_path: Path) -> None:
    row = {"arm": "digits.v2.bb2a8c", "outcome": "correct", "count": 95, "of": 100}
    body = {"since": "x", "results": [row], "waiting": 1, "unresolved": 2}
    server = FakeServer({"GET /endpoints/digits/feedback/": answer(body)})
    session = server.session(tmp_path)
    assert run(["feedback", "digits"], session) == 0
    assert "95.00 %" in printed(session.out)
    said = printed(session.err)
    assert "1 reports wait" in said
    assert "2 reports are of requests that no server knew" in said


async def test_both_clients_report() -> None:
    server = taking()
    with Client(API, "t", transport=server.transport()) as nereid:
        taken = nereid.feedback("digits", "correct", request_id="r", value=True)
    async with AsyncClient(API, "t", transport=server.transport()) as nereid:
        assert taken == await nereid.feedback("digits", "correct", request_id="r", value=1)
    assert taken == FeedbackTaken(1, 1, 0)
    assert bodies(server) == [{"outcome": "correct", "request_id": "r", "value": 1}] * 2

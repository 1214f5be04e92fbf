"""Completion: names of the server, and quietly nothing where it is not there."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from nereid.cli import completing
from nereid.cli.app import app
from tests.support.control_plane_answers import FakeServer, answer, endpoint, problem

NAMES = {"results": [endpoint(name=name) for name in ("digits", "cats", "dogs")], "next": None}


def complete(line: str) -> str:
    asked = {
        "_NEREID_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }
    return CliRunner().invoke(app, [], prog_name="nereid", env=asked).output


@pytest.mark.parametrize("command", ["endpoints", "rollback", "kill"])
def test_names_are_asked_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    server = FakeServer({"GET /endpoints/": answer(NAMES)})
    monkeypatch.setattr(completing, "Session", lambda: server.session(tmp_path))
    assert complete(f"nereid {command} d").split() == ["digits", "dogs"]


def test_nothing_is_said_where_nobody_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    for given in (refuse, problem(401, "Unauthorized")):
        server = FakeServer({"GET /endpoints/": given})
        monkeypatch.setattr(completing, "Session", lambda server=server: server.session(tmp_path))
        assert complete("nereid endpoints d").strip() == ""
        assert len(server.calls) == 1, "Tab does not wait for a second attempt"


def test_servers_are_completed_beside_what_is_done_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = {"results": [{"name": "rack-1"}, {"name": "lab-1"}], "next": None}
    server = FakeServer({"GET /servers/": answer(servers)})
    monkeypatch.setattr(completing, "Session", lambda: server.session(tmp_path))
    assert complete("nereid servers r").split() == ["rack-1", "remove"]

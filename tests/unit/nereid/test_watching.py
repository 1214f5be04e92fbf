"""`--watch`: drawn again until Ctrl-C, which is no failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from nereid.cli import run, watching
from tests.support.control_plane_answers import FakeServer, answer, endpoint, model, printed


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes in the third pause."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(watching.time, "sleep", pause)


@pytest.mark.parametrize("command", ["endpoints", "models", "servers"])
def test_it_looks_again_until_ctrl_c(tmp_path: Path, rounds: None, command: str) -> None:
    rows = {"endpoints": [endpoint()], "models": [model()], "servers": []}[command]
    server = FakeServer({f"GET /{command}/": answer({"results": rows, "next": None})})
    session = server.session(tmp_path)
    assert run([command, "--watch"], session) == 0
    assert server.calls == [f"GET /{command}/"] * 3
    assert command == "servers" or "digits" in printed(session.out)


def test_a_server_that_is_away_is_told_and_asked_again(
    tmp_path: Path, rounds: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nereid.errors import UnreachableError

    looks: list[Any] = []

    def draw(session: Any) -> None:
        looks.append(session)
        if len(looks) == 2:
            raise UnreachableError("x", "Connection refused", "")
        session.out.print("here again")

    session = FakeServer({}).session(tmp_path)
    watching.drawn(session, draw, watch=True)
    assert len(looks) == 3
    assert "here again" in printed(session.out)


def test_programs_do_not_watch(tmp_path: Path) -> None:
    server = FakeServer({"GET /endpoints/": httpx.Response(500)})
    assert run(["endpoints", "--watch", "--json"], server.session(tmp_path)) == 2
    assert server.calls == []

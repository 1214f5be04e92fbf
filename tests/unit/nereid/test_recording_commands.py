"""`nereid record`, against a control plane's answers."""

from __future__ import annotations

import json
from pathlib import Path

from control_plane.api.recording_examples import RECORDING
from nereid import Client
from nereid.cli import run
from tests.support.control_plane_answers import API, FakeServer, answer, printed

AT = "/endpoints/digits/recordings/"
GOING_ON = RECORDING | {"state": "recording", "facts": {}, "requests": 3}


def serving(**more: object) -> FakeServer:
    return FakeServer(
        {
            f"POST {AT}": answer(GOING_ON, 202),
            f"GET {AT}": answer({"results": [RECORDING], "next": None, "previous": None}),
            f"GET {AT}digits-1/": answer(RECORDING),
            f"POST {AT}digits-1/stop/": answer(GOING_ON, 202),
            f"DELETE {AT}digits-1/": answer(None, 204),
            **more,  # type: ignore[dict-item]
        }
    )


def test_one_is_asked_for_and_waited_for(tmp_path: Path) -> None:
    server = serving()
    session = server.session(tmp_path)
    said = ["--requests", "200", "--percent", "5", "--length", "10m", "--bytes", "2048"]
    assert run(["record", "start", "digits", *said], session) == 0
    asked = {"requests": 200, "percent": 5.0, "length": "10m", "bytes": 2048}
    assert json.loads(server.requests[0].content) == asked
    shown = printed(session.out)
    for words in ("200 requests", "1 in the mean", "image FP32[1,1,8,8]", "recording:digits-1"):
        assert words in shown


def test_nothing_recorded_is_a_failure(tmp_path: Path) -> None:
    empty = RECORDING | {"state": "failed", "facts": {}, "reason": "no request came"}
    server = serving(**{f"GET {AT}digits-1/": answer(empty)})
    session = server.session(tmp_path)
    assert run(["record", "start", "digits"], session) == 1
    assert "no request came" in printed(session.out)


def test_they_are_listed_shown_stopped_and_deleted(tmp_path: Path) -> None:
    for words, shown in (
        (["list", "digits"], "digits-1"),
        (["show", "digits", "digits-1"], "at its end"),
        (["stop", "digits", "digits-1"], "200 requests"),
        (["delete", "digits", "digits-1"], "is deleted"),
    ):
        session = serving().session(tmp_path)
        assert run(["record", *words], session) == 0
        assert shown in printed(session.out) + printed(session.err)


def test_the_client_gives_values() -> None:
    with Client(API, "token", transport=serving().transport()) as nereid:
        found = nereid.wait_recording("digits", "digits-1")
    assert (found.over, found.facts["rows"]["most"]) == (True, 1)

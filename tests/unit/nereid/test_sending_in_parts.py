"""A server that goes away while a large file is sent: what was sent is not sent for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from nereid.calls.uploads import PATIENCE, Sending, push_in_parts
from nereid.errors import UnreachableError
from nereid.steps import Pause, Send, Step, drive
from nereid.unfinished import Unfinished

UPLOAD = "0f8fad5b-d9cb-469f-a165-70867728950e"


class Server:
    """Takes a file of one part; it is away for the first `away` requests for a version."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.waited = 0.0
        self.keys: list[str] = []

    def do(self, step: Step) -> Any:
        if isinstance(step, Pause):
            self.waited += step.seconds
            return None
        if not isinstance(step, Send):
            return step.do()
        if step.method == "PATCH":
            return httpx.Response(204, headers={"Upload-Offset": "4"})
        if step.path == "/uploads/":
            return httpx.Response(201, json={"id": UPLOAD})
        self.keys.append(step.headers["Idempotency-Key"])
        if len(self.keys) <= self.away:
            raise UnreachableError("http://127.0.0.1:1", "Connection refused", "Wait.")
        return httpx.Response(202, json={"version": 1})


def sending(folder: Path) -> Sending:
    path = folder / "model.onnx"
    path.write_bytes(b"four")
    return Sending(path, "00" * 32, 4, Unfinished("m", "00" * 32, folder / "state"))


def test_the_version_is_asked_for_until_the_server_is_back(tmp_path: Path) -> None:
    server = Server(away=PATIENCE - 1)
    assert drive(push_in_parts("m", sending(tmp_path), {}), server.do) == {"version": 1}
    assert len(set(server.keys)) == 1  # one version, however often it was asked for
    assert server.waited > 30


def test_a_server_that_stays_away_leaves_the_upload_for_another_time(tmp_path: Path) -> None:
    server, pushed = Server(away=PATIENCE), sending(tmp_path)
    with pytest.raises(UnreachableError):
        drive(push_in_parts("m", pushed, {}), server.do)
    assert pushed.unfinished.find() == UPLOAD

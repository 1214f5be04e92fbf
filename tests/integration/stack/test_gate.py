"""The door that balancers knock at, over a real connection."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from control_plane.domain.planning.readiness import Verdict
from stack.ports import free_port
from tests.support.processes import eventually
from workers import gate
from workers.gate import keep_open


class Door:
    """A gate that says what it is told to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.verdict = Verdict(True, "holds everything that is wanted")

    def get(self, path: str, method: str = "GET") -> tuple[int, bytes, dict[str, str]]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())

    def is_open(self) -> bool:
        try:
            return self.get("/live")[0] == 200
        except OSError:
            return False


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    monkeypatch.setattr(gate, "RETRY_S", 0.05)
    door, stopping = Door(free_port()), threading.Event()
    thread = threading.Thread(
        target=keep_open, args=("127.0.0.1", door.port, lambda: door.verdict, "local", stopping)
    )
    thread.start()
    assert eventually(door.is_open)
    yield door
    stopping.set()
    thread.join(5)
    assert not thread.is_alive()


def test_ready_is_a_status_with_the_reason_in_words(door: Door) -> None:
    status, body, headers = door.get("/ready")
    assert (status, json.loads(body)) == (
        200,
        {"ready": True, "server": "local", "reason": "holds everything that is wanted"},
    )
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"].strip() == "nereid", "and nothing of what it is made with"
    door.verdict = Verdict(False, "draining: by ada")
    status, body, _ = door.get("/ready/?now=1")
    assert (status, json.loads(body)["reason"]) == (503, "draining: by ada")
    assert door.get("/ready", "HEAD")[:2] == (503, b"")


def test_live_says_that_the_node_answers_whatever_its_triton_does(door: Door) -> None:
    door.verdict = Verdict(False, "Triton does not answer")
    assert door.get("/live")[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/../etc/passwd", 404),
        ("POST", "/ready", 501),
        ("DELETE", "/ready", 501),
    ],
)
def test_there_is_nothing_else_behind_it(door: Door, method: str, path: str, status: int) -> None:
    assert door.get(path, method)[0] == status


def test_callers_that_say_nothing_keep_nobody_out(door: Door) -> None:
    silent = [socket.create_connection(("127.0.0.1", door.port)) for _ in range(gate.AT_ONCE + 8)]
    # Those beyond the last place are hung up on; as soon as one goes, the next is answered.
    for connection in silent[: gate.AT_ONCE]:
        connection.close()
    assert eventually(door.is_open)
    for connection in silent[gate.AT_ONCE :]:
        connection.close()


def test_each_answer_ends_its_connection(door: Door) -> None:
    with socket.create_connection(("127.0.0.1", door.port), timeout=5) as caller:
        caller.sendall(b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n")
        with caller.makefile("rb") as answer:
            assert b"\r\nConnection: close\r\n" in answer.read(), "nothing comes after it"


def test_a_request_in_drops_takes_no_place_for_long(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "PATIENCE_S", 0.3)
    with socket.create_connection(("127.0.0.1", door.port), timeout=0.05) as caller:

        def is_hung_up_on() -> bool:
            try:
                caller.sendall(b"G")
                return caller.recv(1) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        assert eventually(is_hung_up_on, patience_s=5)


def test_a_port_that_is_taken_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "RETRY_S", 0.05)
    stopping = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as holder:
        door = Door(holder.getsockname()[1])
        thread = threading.Thread(
            target=keep_open, args=("127.0.0.1", door.port, lambda: door.verdict, "a", stopping)
        )
        thread.start()
    assert eventually(door.is_open)
    stopping.set()
    thread.join(5)

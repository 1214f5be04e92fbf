"""The fake inference and the real one behind its adapter answer the same."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest

from control_plane.adapters.triton.inference import HttpTritonInference
from control_plane.ports.inference import (
    InferenceRefusedError,
    NoAnswerError,
    TensorData,
    TritonInference,
)
from tests.support.fakes import FakeInference
from tests.support.models import multiplier_model, router
from tests.support.triton import free_ports, running_triton

ARM = "times.v1.aaaaaa"


def tensor(*values: float, name: str = "x") -> TensorData:
    data = struct.pack(f"<{len(values)}f", *values)
    return TensorData(name, "FP32", (1, len(values)), data)


@pytest.fixture(scope="module")
def real() -> Iterator[str]:
    with running_triton("inference") as triton:
        multiplier_model(triton.repository, ARM, 3.0)
        router(triton.repository, "times", {ARM: 10_000})
        triton.load(ARM)
        triton.load("times")
        yield triton.options.http


@pytest.fixture(params=["fake", "real"])
def subject(request: pytest.FixtureRequest) -> TritonInference:
    if request.param == "real":
        return HttpTritonInference(request.getfixturevalue("real"))
    return FakeInference(model="times", arm=ARM, factor=3.0, width=4)


def test_the_answer_has_its_tensors_and_the_arm(subject: TritonInference) -> None:
    answer = subject.infer("times", [tensor(1, 2, 3, 4.5)])
    [output] = answer.outputs
    assert (output.name, output.datatype, output.shape) == ("y", "FP32", (1, 4))
    assert struct.unpack("<4f", output.data) == (3, 6, 9, 13.5)
    assert answer.arm == ARM
    assert answer.elapsed_s > 0


def test_what_is_refused_is_refused_in_the_servers_words(subject: TritonInference) -> None:
    with pytest.raises(InferenceRefusedError, match="unknown model: 'nothing'") as unknown:
        subject.infer("nothing", [tensor(1, 2, 3, 4)])
    assert unknown.value.status == 404
    with pytest.raises(InferenceRefusedError, match=r"unexpected shape .*'x'") as wrong:
        subject.infer("times", [tensor(1, 2, 3)])
    assert wrong.value.status == 400


def test_a_version_that_is_not_there_is_refused(subject: TritonInference) -> None:
    with pytest.raises(InferenceRefusedError, match="version"):
        subject.infer("times", [tensor(1, 2, 3, 4)], version=7)


def test_an_answer_that_is_too_large_is_not_read(real: str) -> None:
    with pytest.raises(NoAnswerError, match="larger than"):
        HttpTritonInference(real, max_bytes=20).infer("times", [tensor(1, 2, 3, 4)])


def test_nobody_there_is_no_answer() -> None:
    [port] = free_ports(1)
    with pytest.raises(NoAnswerError, match="no answer"):
        HttpTritonInference(f"127.0.0.1:{port}").infer("times", [tensor(1)])


class Answers:
    """A server that says one thing, whatever it is asked."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str], pause_s: float = 0):
        import threading
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        asked: list[str] = []
        told = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked.append(self.path)
                told.wait(pause_s)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                return None

        self.asked, self._told = asked, told
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *error: object) -> None:
        self._told.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def test_a_redirect_leads_nowhere() -> None:
    with (
        Answers(200, b"{}", {}) as other,
        Answers(307, b"", {"Location": f"http://{other.address}/secret"}) as first,
    ):
        with pytest.raises(NoAnswerError, match="cannot be read"):
            HttpTritonInference(first.address).infer("times", [])
        assert first.asked == ["/v2/models/times/infer"]
        assert other.asked == []


def test_a_server_that_thinks_for_ever_is_left() -> None:
    with (
        Answers(200, b"{}", {}, pause_s=60) as slow,
        pytest.raises(NoAnswerError, match="did not answer within"),
    ):
        HttpTritonInference(slow.address, timeout_s=0.2).infer("times", [])


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [4]}]}',
        b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [4], '
        b'"parameters": {"binary_data_size": 16}}]}',
    ],
)
def test_an_answer_that_is_none_is_said_to_be_none(body: bytes) -> None:
    with Answers(200, body, {}) as odd, pytest.raises(NoAnswerError, match="cannot be read"):
        HttpTritonInference(odd.address).infer("times", [])

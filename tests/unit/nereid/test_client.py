import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from nereid import ChecksumError, Client, ProblemError, UnreachableError, WaitTimeoutError
from nereid.resources import Endpoint
from nereid.waiting import wait_for
from tests.support.control_plane_answers import (
    API,
    FakeServer,
    accepted,
    answer,
    endpoint,
    model,
    problem,
    version,
)


def client(server: FakeServer) -> Client:
    return Client(API, "nrd_test", transport=server.transport())


def test_every_request_carries_the_token() -> None:
    server = FakeServer({"GET /models/": answer({"results": [model()], "next": None})})
    with client(server) as nereid:
        assert [found.name for found in nereid.models()] == ["digits"]
    assert server.requests[0].headers["authorization"] == "Bearer nrd_test"


def test_a_list_is_read_to_its_end_and_the_token_stays_home() -> None:
    following = "http://evil.example/api/v1/models/?cursor=abc&limit=100"
    server = FakeServer(
        {
            "GET /models/": [
                answer({"results": [model("a")], "next": following}),
                answer({"results": [model("b")], "next": None}),
            ]
        }
    )
    with client(server) as nereid:
        assert [found.name for found in nereid.models()] == ["a", "b"]
    second = server.requests[1].url
    assert (second.host, second.params["cursor"]) == ("127.0.0.1", "abc")


def test_a_problem_shows_title_detail_and_every_field() -> None:
    refusal = problem(
        400,
        "Bad Request",
        "2 fields are wrong",
        {"pointer": "/arms/0/weight", "code": "range", "detail": "120 is above 100"},
        {"pointer": "/arms/1/model", "code": "unknown", "detail": "no model 'x'"},
    )
    server = FakeServer({"PUT /endpoints/digits/policy/": refusal})
    with client(server) as nereid, pytest.raises(ProblemError) as raised:
        nereid.put_policy("digits", {"arms": []}, etag='"1"')
    assert str(raised.value).splitlines() == [
        "Bad Request (400)",
        "2 fields are wrong",
        "  /arms/0/weight: 120 is above 100",
        "  /arms/1/model: no model 'x'",
    ]
    assert raised.value.request_id == "r-1"


def test_a_detail_that_repeats_the_field_is_said_once() -> None:
    field = {"pointer": "/arms", "code": "weights", "detail": "add up to 110"}
    error = ProblemError.from_response(problem(400, "Bad Request", "/arms: add up to 110", field))
    assert str(error).count("add up to 110") == 1


def test_an_answer_of_something_else_is_an_excerpt_not_a_page() -> None:
    page = httpx.Response(
        502, text="<html>\n<b>Bad</b> gateway" + "x" * 999, headers={"content-type": "text/html"}
    )
    error = ProblemError.from_response(page)
    assert error.status == 502
    assert len(str(error)) < 300


def test_success_that_is_not_json_is_a_problem_too() -> None:
    server = FakeServer({"GET /models/digits/": httpx.Response(200, text="<html>login</html>")})
    with client(server) as nereid, pytest.raises(ProblemError, match="Not an answer of Nereid"):
        nereid.model("digits")


def test_nobody_there_says_what_to_start() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[Errno 111] Connection refused", request=request)

    server = FakeServer({"GET /models/": refuse})
    with client(server) as nereid, pytest.raises(UnreachableError) as raised:
        nereid.models()
    first, second = str(raised.value).splitlines()
    assert first == f"no answer from {API}: Connection refused"
    assert "make serve" in second


def test_push_streams_the_file_with_its_digest_and_reports_progress(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    stored = version(2, "validating", artifact={"sha256": digest, "size": 1, "filename": "m"})
    server = FakeServer({"POST /models/digits/versions/": answer(stored, 202)})
    told: list[tuple[int, int]] = []
    with client(server) as nereid:
        pushed = nereid.push(
            "digits",
            path,
            metrics={"accuracy": 0.98},
            git=False,
            on_bytes=lambda *seen: told.append(seen),
        )
    assert (pushed.number, pushed.state) == (2, "validating")
    body = server.sent("POST", "/versions/").content
    assert content in body
    metadata = body.split(b'name="metadata"\r\n\r\n')[1].split(b"\r\n--")[0]
    assert json.loads(metadata) == {
        "sha256": digest,
        "framework": "onnx",
        "metrics": {"accuracy": 0.98},
    }
    assert told[-1] == (len(content), len(content))
    assert len(told) > 3, "in chunks, not at once"


def test_push_notices_when_something_else_was_stored(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"good")
    wrong = version(artifact={"sha256": "0" * 64, "size": 4, "filename": "m"})
    server = FakeServer({"POST /models/digits/versions/": answer(wrong, 202)})
    with client(server) as nereid, pytest.raises(ChecksumError, match="000"):
        nereid.push("digits", path)


def test_a_policy_goes_back_with_the_tag_it_came_with() -> None:
    server = FakeServer(
        {
            "GET /endpoints/digits/policy/": answer({"arms": []}, ETag='"7"'),
            "PUT /endpoints/digits/policy/": answer(accepted(8), 202),
        }
    )
    with client(server) as nereid:
        standing = nereid.policy("digits")
        assert standing.empty
        assert nereid.put_policy("digits", {"arms": []}, etag=standing.etag).generation == 8
    assert server.sent("PUT", "/policy/").headers["if-match"] == '"7"'


@pytest.mark.parametrize(
    ("looks", "made"),
    [
        ([answer(model())], False),
        ([problem(404, "Not Found")], True),
    ],
)
def test_ensure_creates_only_what_is_absent(looks: list[httpx.Response], made: bool) -> None:
    server = FakeServer({"GET /models/digits/": list(looks), "POST /models/": answer(model(), 201)})
    with client(server) as nereid:
        assert nereid.ensure_model("digits") is made
    assert ("POST /models/" in server.calls) is made


def test_ensure_accepts_that_someone_else_was_faster() -> None:
    server = FakeServer(
        {
            "GET /endpoints/digits/": problem(404, "Not Found"),
            "POST /endpoints/": problem(409, "Conflict"),
        }
    )
    with client(server) as nereid:
        assert nereid.ensure_endpoint("digits") is False


def test_waiting_ends_only_with_the_generation_asked_for() -> None:
    server = FakeServer(
        {
            "GET /endpoints/digits/": [
                answer(endpoint("Healthy", 1)),
                answer(endpoint("Progressing", 2, observed_generation=1)),
                answer(endpoint("Healthy", 2, observed_generation=1)),
                answer(endpoint("Healthy", 2)),
            ]
        }
    )
    seen: list[Endpoint] = []
    with client(server) as nereid:
        done = nereid.wait_endpoint("digits", generation=2, timeout=10, on_progress=seen.append)
    assert (done.status, done.observed_generation) == ("Healthy", 2)
    assert len(seen) == 4


def test_waiting_ends_with_degraded_which_is_an_outcome() -> None:
    server = FakeServer({"GET /endpoints/digits/": answer(endpoint("Degraded", 2))})
    with client(server) as nereid:
        assert nereid.wait_endpoint("digits", generation=2).status == "Degraded"


def test_a_deadline_says_how_far_it_came() -> None:
    stuck = endpoint("Progressing", 2, reason="preparing on local")
    server = FakeServer({"GET /endpoints/digits/": answer(stuck)})
    with client(server) as nereid, pytest.raises(WaitTimeoutError, match="preparing on local"):
        nereid.wait_endpoint("digits", generation=2, timeout=0)


def test_a_rejected_version_ends_the_wait() -> None:
    server = FakeServer(
        {
            "GET /models/digits/versions/2/": [
                answer(version(2, "validating")),
                answer(version(2, "rejected", state_reason="not an ONNX file")),
            ]
        }
    )
    with client(server) as nereid:
        assert nereid.wait_version_ready("digits", 2).state_reason == "not an ONNX file"


class Time:
    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def waits(look: Callable[[], int], timeout: float, time: Time) -> int:
    return wait_for(look, lambda n: n > 99, timeout, clock=time.clock, pause=time.pause)


def test_looks_grow_rarer_up_to_a_second_and_stop_at_the_deadline() -> None:
    time = Time()
    assert waits(lambda: 1, 10, time) == 1
    assert time.now == pytest.approx(10)
    assert time.pauses[0] == pytest.approx(0.05)
    assert max(time.pauses) == pytest.approx(1.0)
    assert len(time.pauses) < 25


def test_a_server_that_restarts_meanwhile_is_waited_for() -> None:
    time = Time()
    looks = iter([1, None, None, 100])

    def look() -> int:
        seen = next(looks)
        if seen is None:
            raise UnreachableError("x", "Connection refused", "")
        return seen

    assert waits(look, 10, time) == 100


def test_a_server_that_stays_away_is_told() -> None:
    time = Time()

    def look() -> int:
        raise UnreachableError("x", "Connection refused", "")

    with pytest.raises(UnreachableError):
        waits(look, 3, time)
    assert time.now <= 3


def test_unknown_and_absent_fields_do_no_harm() -> None:
    found = Endpoint.from_json({"name": "digits", "status": "Healthy", "news": {"of": "tomorrow"}})
    assert (found.name, found.arms, found.revision) == ("digits", (), None)
    assert found.raw["news"] == {"of": "tomorrow"}

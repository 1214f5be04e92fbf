"""Asking again: where it helps, where it would do harm, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from nereid import ProblemError, Retry, UnreachableError
from nereid.calls import pushing, registry, traffic
from nereid.retries import attempts
from nereid.steps import Pause, Send, Steps, drive
from tests.support.control_plane_answers import accepted, answer, model, problem, version

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BUSY = problem(503, "Service Unavailable")
LOST = problem(502, "Bad Gateway")


class Line:
    """Answers requests in turn and notes what was sent and how long was waited."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.sent: list[Send] = []
        self.pauses: list[float] = []

    def run(self, steps: Steps[Any], retry: Retry | None = None) -> Any:
        def once(step: Any) -> Any:
            if isinstance(step, Pause):
                self.pauses.append(step.seconds)
                return None
            if not isinstance(step, Send):
                return step.do()
            self.sent.append(step)
            given = self.answers.pop(0)
            if isinstance(given, Exception):
                raise given
            given.request = httpx.Request(step.method, "http://x")
            return given

        def do(step: Any) -> Any:
            if isinstance(step, Send):
                tries = attempts(step, retry or Retry(), draw=lambda: 0.0, now=lambda: NOW)
                return drive(tries, once)
            return once(step)

        return drive(steps, do)


def at_work(seconds: int = 1) -> httpx.Response:
    busy = problem(409, "Conflict")
    busy.headers["Retry-After"] = str(seconds)
    return busy


def refused() -> UnreachableError:
    return UnreachableError("x", "Connection refused", "")


def broken() -> UnreachableError:
    return UnreachableError("x", "Connection reset", "", doubtful=True)


@pytest.mark.parametrize("first", [refused, broken, lambda: BUSY, lambda: LOST])
def test_a_read_is_repeated_until_it_succeeds(first: Callable[[], Any]) -> None:
    line = Line(first(), first(), answer(model()))
    assert line.run(registry.model("digits")).name == "digits"
    assert line.pauses == [0.2, 0.4]


@pytest.mark.parametrize("first", [refused, broken, lambda: BUSY, lambda: LOST])
def test_every_attempt_of_a_post_has_the_same_key(first: Callable[[], Any]) -> None:
    line = Line(first(), answer(accepted(2), 202))
    assert line.run(traffic.rollback("digits")).generation == 2
    one, other = (send.headers["Idempotency-Key"] for send in line.sent)
    assert one == other


def test_two_calls_have_two_keys() -> None:
    line = Line(answer(accepted(2), 202), answer(accepted(3), 202))
    line.run(traffic.rollback("digits"))
    line.run(traffic.rollback("digits"))
    one, other = (send.headers["Idempotency-Key"] for send in line.sent)
    assert one != other


def test_a_post_whose_first_attempt_is_still_at_work_is_waited_for() -> None:
    line = Line(broken(), at_work(), answer(accepted(2), 202))
    assert line.run(traffic.kill("digits")).generation == 2
    assert line.pauses == [0.2, 1.0]


def test_what_is_at_work_is_waited_for_by_time_and_not_by_tries() -> None:
    line = Line(broken(), *[at_work() for _ in range(30)], answer(accepted(2), 202))
    assert line.run(traffic.kill("digits")).generation == 2
    assert line.pauses == [0.2, *[1.0] * 30]


def test_what_never_comes_to_an_end_is_told() -> None:
    line = Line(*[at_work(20) for _ in range(9)])
    with pytest.raises(ProblemError) as raised:
        line.run(traffic.kill("digits"), Retry(patience=60.0))
    assert raised.value.status == 409
    assert line.pauses == [20.0] * 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 422, 500])
def test_a_no_is_a_no(status: int) -> None:
    line = Line(problem(status, "No"))
    with pytest.raises(ProblemError) as raised:
        line.run(traffic.rollback("digits"))
    assert raised.value.status == status
    assert raised.value.document["request_id"] == "r-1"


@pytest.mark.parametrize("doubt", [broken(), LOST])
def test_an_edit_on_condition_is_not_repeated_in_doubt(doubt: Any) -> None:
    line = Line(doubt)
    with pytest.raises((UnreachableError, ProblemError)):
        line.run(traffic.put_policy("digits", {}, etag='"7"'))
    assert line.pauses == []


@pytest.mark.parametrize("first", [refused(), BUSY])
def test_an_edit_that_was_never_begun_is_repeated(first: Any) -> None:
    line = Line(first, answer(accepted(8), 202))
    assert line.run(traffic.put_policy("digits", {}, etag='"7"')).generation == 8


def test_what_is_gone_after_a_doubtful_deletion_was_deleted() -> None:
    line = Line(broken(), problem(404, "Not Found"))
    assert line.run(registry.delete_model("digits")) is None
    with pytest.raises(ProblemError):
        Line(problem(404, "Not Found")).run(registry.delete_model("digits"))


def test_it_gives_up_and_says_why() -> None:
    line = Line(*[refused() for _ in range(4)])
    with pytest.raises(UnreachableError, match="Connection refused"):
        line.run(registry.models())
    assert line.pauses == [0.2, 0.4, 0.8]
    line = Line(*[problem(503, "Service Unavailable", "restarting") for _ in range(4)])
    with pytest.raises(ProblemError, match="restarting"):
        line.run(registry.models())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3", 3.0), (format_datetime(NOW.replace(second=30), usegmt=True), 30.0), ("soon", 0.2)],
)
def test_a_server_that_says_how_long_is_obeyed(text: str, seconds: float) -> None:
    limited = problem(429, "Too Many Requests")
    limited.headers["Retry-After"] = text
    line = Line(limited, answer(model()))
    line.run(registry.model("digits"))
    assert line.pauses == [seconds]


def test_nobody_waits_for_an_hour() -> None:
    limited = problem(429, "Too Many Requests")
    limited.headers["Retry-After"] = "3600"
    line = Line(limited)
    with pytest.raises(ProblemError):
        line.run(registry.model("digits"))
    assert line.pauses == []


def test_pauses_grow_to_a_limit_and_differ_between_callers() -> None:
    retry = Retry(first=0.2, longest=5.0)
    assert [retry.pause(n, 0.0) for n in (1, 2, 3, 9)] == [0.2, 0.4, 0.8, 5.0]
    assert retry.pause(2, 0.5) == pytest.approx(0.3)
    assert retry.pause(1, 0.999) > 0.1


def test_an_upload_is_repeated_from_the_beginning(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(b"weights")
    line = Line(broken(), answer(version(2, "validating"), 202))
    assert line.run(pushing.push("digits", file)).number == 2
    first, second = (send.upload for send in line.sent)
    assert first is second
    assert first is not None

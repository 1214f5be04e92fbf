"""Limits: how many requests an arm works on at once, and for how long."""

from __future__ import annotations

from pathlib import Path

from tests.integration.backends.arms import BOUNDLESS_RESCUE, Stage, arm_name, version_of
from tests.support import models
from tests.support.triton import eventually

CANDIDATE_ONLY = [0, 10_000]
BUSY = {"delay_ms": 60_000}


def diverted(stage: Stage, endpoint: str, reason: str = "overflow") -> float:
    return stage.metric("diverted_total", endpoint, 2, reason=reason)


def occupy(stage: Stage, endpoint: str, count: int, version: int = 2, **options):
    """Requests that keep their arm busy until they are cancelled."""
    busy = [stage.begin(endpoint, BUSY, **options) for _ in range(count)]
    eventually(lambda: stage.in_flight(endpoint, version) == count)
    return busy


def release(stage: Stage, endpoint: str, busy) -> None:
    for each in busy:
        each.cancel()
    eventually(lambda: stage.in_flight(endpoint) == 0)


def test_what_is_too_much_for_a_candidate_the_primary_takes(stage: Stage) -> None:
    stage.endpoint("to-primary", CANDIDATE_ONLY, words={2: "max_in_flight 2"})
    busy = occupy(stage, "to-primary", 2)
    assert stage.arms("to-primary", 10) == {1: 10}
    assert diverted(stage, "to-primary") == 10
    release(stage, "to-primary", busy)
    assert stage.arms("to-primary", 10) == {2: 10}
    stage.expect("to-primary", {"v1 ok": 10, "v2 ok": 10, "v2 cancelled": 2})


def test_it_may_go_to_another_arm(stage: Stage) -> None:
    stage.endpoint("to-third", [0, 10_000, 0], words={2: "max_in_flight 1 overflow 2"})
    busy = occupy(stage, "to-third", 1)
    assert stage.arms("to-third", 10) == {3: 10}
    release(stage, "to-third", busy)


def test_where_the_other_arm_is_full_as_well_it_is_refused(stage: Stage) -> None:
    words = {2: "max_in_flight 1 overflow 2", 3: "max_in_flight 1"}
    stage.endpoint("both-full", [0, 10_000, 0], words=words)
    busy = occupy(stage, "both-full", 1)
    busy += [stage.begin("both-full", BUSY)]
    eventually(lambda: stage.in_flight("both-full", 3) == 1)
    code, message = stage.refusal("both-full")
    assert code == "UNAVAILABLE"
    assert arm_name("both-full", 2) in message
    release(stage, "both-full", busy)
    stage.expect("both-full", {"v2 rejected": 1, "v2 cancelled": 1, "v3 cancelled": 1})


def test_it_may_be_refused_with_a_word_on_why(stage: Stage) -> None:
    stage.endpoint(
        "refusing", CANDIDATE_ONLY, BOUNDLESS_RESCUE, words={2: "max_in_flight 2 overflow reject"}
    )
    busy = occupy(stage, "refusing", 2)
    code, message = stage.refusal("refusing")
    assert code == "UNAVAILABLE"
    assert "endpoint 'refusing'" in message
    assert arm_name("refusing", 2) in message
    assert "2 requests in flight" in message
    body = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1] * 4}]}
    status, answer = stage.server.call("/v2/models/refusing/infer", body)
    assert status == 503
    assert answer["error"] == message
    release(stage, "refusing", busy)
    stage.expect("refusing", {"v2 rejected": 2, "v2 cancelled": 2})
    assert stage.arms("refusing", 5) == {2: 5}


def test_what_is_too_much_for_the_primary_is_refused(stage: Stage) -> None:
    stage.endpoint("main-full", [10_000, 0], words={1: "max_in_flight 1"})
    busy = occupy(stage, "main-full", 1, version=1)
    assert stage.refusal("main-full")[0] == "UNAVAILABLE"
    release(stage, "main-full", busy)
    stage.expect("main-full", {"v1 rejected": 1, "v1 cancelled": 1})


def test_the_primary_may_hand_over_to_a_candidate(stage: Stage) -> None:
    stage.endpoint("hands-over", [10_000, 0], words={1: "max_in_flight 1 overflow 1"})
    busy = occupy(stage, "hands-over", 1, version=1)
    assert stage.arms("hands-over", 5) == {2: 5}
    release(stage, "hands-over", busy)


def test_the_primary_as_a_last_resort_may_be_full_too(stage: Stage) -> None:
    words = {1: "max_in_flight 1", 2: "max_in_flight 1"}
    stage.endpoint("no-room", CANDIDATE_ONLY, words=words)
    busy = occupy(stage, "no-room", 1)
    busy += [stage.begin("no-room", BUSY)]
    eventually(lambda: stage.in_flight("no-room", 1) == 1)
    assert stage.refusal("no-room")[0] == "UNAVAILABLE"
    release(stage, "no-room", busy)


def test_the_limit_is_exact_under_concurrency(stage: Stage) -> None:
    stage.endpoint("exact", CANDIDATE_ONLY, words={2: "max_in_flight 3 overflow reject"})
    pending = stage.at_once(16, lambda _: stage.begin("exact", {"delay_ms": 1500}))
    codes = sorted(each.code() for each in pending)
    assert codes == ["OK"] * 3 + ["UNAVAILABLE"] * 13
    stage.expect("exact", {"v2 ok": 3, "v2 rejected": 13})


def test_a_rescue_needs_room_on_the_primary(stage: Stage) -> None:
    rule = "rule 0 parameter to equals main"
    stage.endpoint("rescue", CANDIDATE_ONLY, rule, BOUNDLESS_RESCUE, words={1: "max_in_flight 1"})
    busy = [stage.begin("rescue", {"to": "main", **BUSY})]
    eventually(lambda: stage.in_flight("rescue", 1) == 1)
    assert stage.refusal("rescue", {"v2.fail": "INTERNAL"}) == ("INTERNAL", "told to fail")
    release(stage, "rescue", busy)
    assert version_of(stage.ask("rescue", {"v2.fail": "INTERNAL"})) == 1
    stage.expect("rescue", {"v1 cancelled": 1, "v1 ok": 1, "v2 error": 1, "v2 rescued": 1})


def test_an_overflow_arm_with_an_open_breaker_is_passed_over(stage: Stage) -> None:
    breaker = (
        "breaker consecutive 1 rate 0 min_requests 1 window_us 10000000 "
        "open_us 600000000 max_open_us 600000000"
    )
    rule = "rule 2 parameter to equals three"
    stage.endpoint(
        "ejected", [0, 10_000, 0], rule, breaker, words={2: "max_in_flight 1 overflow 2"}
    )
    busy = occupy(stage, "ejected", 1)
    assert version_of(stage.ask("ejected")) == 3
    stage.refusal("ejected", {"to": "three", "v3.fail": "INTERNAL"})
    assert stage.refusal("ejected")[0] == "UNAVAILABLE"
    release(stage, "ejected", busy)


def test_limits_hold_over_a_reload(stage: Stage) -> None:
    words = {2: "max_in_flight 2 overflow reject"}
    stage.endpoint("over-reload", CANDIDATE_ONLY, words=words)
    busy = occupy(stage, "over-reload", 2)
    stage.route("over-reload", CANDIDATE_ONLY, words=words)
    assert stage.refusal("over-reload")[0] == "UNAVAILABLE"
    stage.route("over-reload", CANDIDATE_ONLY, words={2: "max_in_flight 3 overflow reject"})
    assert version_of(stage.ask("over-reload")) == 2
    release(stage, "over-reload", busy)
    assert version_of(stage.ask("over-reload")) == 2


def test_a_pinned_version_has_its_own_limit(stage: Stage) -> None:
    stage.endpoint("numbered", [10_000, 0])
    name = arm_name("numbered", 2)
    text = models.policy_text(
        "numbered", {name: 10_000}, words={name: "max_in_flight 1 overflow reject"}
    )
    models.write_policy(stage.server.repository, "numbered", text, version=2)
    stage.server.load("numbered")
    busy = occupy(stage, "numbered", 1, model_version="2")
    assert stage.refusal("numbered", model_version="2")[0] == "UNAVAILABLE"
    assert version_of(stage.ask("numbered")) == 1
    release(stage, "numbered", busy)


# --- time ----------------------------------------------------------------------------------------


def seen(log: Path) -> list[str]:
    """What the arm saw, in order."""
    return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


def test_a_primary_that_takes_too_long_is_given_up(stage: Stage, tmp_path: Path) -> None:
    stage.endpoint("slow-main", [10_000, 0], BOUNDLESS_RESCUE, words={1: "timeout_us 100000"})
    log = tmp_path / "log"
    pending = stage.begin("slow-main", {"delay_ms": 60_000, "log": str(log)})
    assert pending.code() == "UNAVAILABLE"
    assert 0.1 <= pending.took_s < 2
    stage.expect("slow-main", {"v1 timeout": 1})
    eventually(lambda: seen(log) == ["began", "cancelled", "ended"])
    eventually(lambda: stage.in_flight("slow-main") == 0)
    stage.expect("slow-main", {"v1 timeout": 1})


def test_the_error_says_which_arm_and_how_long(stage: Stage) -> None:
    stage.endpoint("telling", CANDIDATE_ONLY, words={2: "timeout_us 50000"})
    code, message = stage.refusal("telling", {"delay_ms": 60_000})
    assert code == "UNAVAILABLE"
    assert arm_name("telling", 2) in message
    assert "endpoint 'telling'" in message
    assert "did not answer within its time" in message
    stage.expect("telling", {"v2 timeout": 1})


def test_both_may_take_too_long(stage: Stage) -> None:
    words = {1: "timeout_us 50000", 2: "timeout_us 50000"}
    stage.endpoint("both-slow", CANDIDATE_ONLY, BOUNDLESS_RESCUE, words=words)
    code, message = stage.refusal("both-slow", {"delay_ms": 60_000})
    assert code == "UNAVAILABLE"
    assert arm_name("both-slow", 1) in message
    stage.expect("both-slow", {"v1 timeout": 1, "v2 both_failed": 1})


def test_an_answer_in_time_is_not_disturbed(stage: Stage) -> None:
    stage.endpoint("in-time", CANDIDATE_ONLY, words={2: "timeout_us 30000000"})
    assert stage.at_once(4, lambda _: stage.arms("in-time", 25)) == [{2: 25}] * 4
    stage.expect("in-time", {"v2 ok": 100})


def test_requests_that_end_as_their_time_is_up_are_answered_once(stage: Stage) -> None:
    # Around the deadline the answer and the watch race for each request.
    words = {2: "timeout_us 20000"}
    stage.endpoint("race", CANDIDATE_ONLY, BOUNDLESS_RESCUE, words=words)

    def call(number: int) -> int:
        told = {"v2.delay_ms": 16 + number % 8, "v2.stubborn": True}
        return sum(stage.arms("race", 10, told).values())

    assert sum(stage.at_once(8, call)) == 80
    outcomes = stage.outcomes("race")
    rescued = outcomes.get("v2 rescued", 0)
    assert outcomes.get("v1 ok", 0) == rescued
    assert outcomes.get("v2 ok", 0) + rescued == 80
    eventually(lambda: stage.in_flight("race") == 0)


def test_an_attempt_given_up_takes_its_place_until_it_ends(stage: Stage) -> None:
    words = {2: "max_in_flight 1 timeout_us 50000"}
    stage.endpoint("still-there", CANDIDATE_ONLY, BOUNDLESS_RESCUE, words=words)
    assert version_of(stage.ask("still-there", {"v2.delay_ms": 800, "v2.stubborn": True})) == 1
    assert version_of(stage.ask("still-there")) == 1
    assert diverted(stage, "still-there") == 1
    eventually(lambda: stage.in_flight("still-there") == 0)
    # Again: a busy machine may take longer than the 50 ms by itself.
    eventually(lambda: version_of(stage.ask("still-there")) == 2)

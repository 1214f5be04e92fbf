"""Arms that answer many times or not at all: order kept, errors passed on, rescue until then."""

from __future__ import annotations

from typing import Any

import pytest
from tritonclient.utils import InferenceServerException

from tests.integration.backends.arms import (
    BOUNDLESS_RESCUE,
    Caller,
    Stage,
    version_of,
)
from tests.support.triton import eventually

CANDIDATE_ONLY = [0, 10_000]


def numbers(answers: list[Any]) -> list[int]:
    """What each answer adds to the arm's own version: 0, 1, 2, ... in the order of sending."""
    return [
        int(answer.as_numpy("y")[0][0]) - version_of(answer)
        for answer in answers
        if not isinstance(answer, InferenceServerException) and answer.as_numpy("y") is not None
    ]


@pytest.fixture(scope="module")
def plain(stage: Stage) -> str:
    stage.endpoint("plain", [10_000, 0], decoupled=True)
    return "plain"


@pytest.mark.parametrize("count", [1, 2, 500])
def test_all_answers_come_in_their_order(stage: Stage, plain: str, count: int) -> None:
    answers = stage.stream(plain, [{"responses": count}])
    assert numbers(answers) == list(range(count))
    assert {version_of(answer) for answer in answers} == {1}


def test_an_arm_may_answer_nothing(stage: Stage) -> None:
    stage.endpoint("mute", [10_000, 0], decoupled=True)
    assert stage.stream("mute", [{"responses": 0}]) == []
    stage.expect("mute", {"v1 ok": 1})
    final = stage.stream("mute", [{"responses": 0}], enable_empty_final_response=True)
    assert [a.get_response().parameters["triton_final_response"].bool_param for a in final] == [
        True
    ]
    stage.expect("mute", {"v1 ok": 2})


def test_streams_at_once_do_not_mix(stage: Stage, plain: str) -> None:
    def call(number: int) -> list[int]:
        return numbers(stage.stream(plain, [{"responses": 50, "add": 1000 * number}]))

    for number, got in enumerate(stage.at_once(8, call)):
        assert got == [1000 * number + index for index in range(50)]


def test_many_requests_on_one_stream(stage: Stage, plain: str) -> None:
    requests = [{"responses": 3, "gap_ms": 1, "add": 10 * number} for number in range(100)]
    got = numbers(stage.stream(plain, requests))
    assert sorted(got) == [10 * number + index for number in range(100) for index in range(3)]
    for number in range(100):
        assert [n for n in got if n // 10 == number] == [10 * number + i for i in range(3)]


def test_the_first_response_is_timed_apart_from_the_whole(stage: Stage) -> None:
    stage.endpoint("timed", [10_000, 0], decoupled=True)
    stage.stream("timed", [{"responses": 4, "gap_ms": 100}])
    stage.expect("timed", {"v1 ok": 1})
    first = stage.metric("first_response_us_sum", "timed")
    whole = stage.metric("request_duration_us_sum", "timed")
    assert whole >= 300_000
    assert 0 < first <= whole - 290_000
    assert stage.metric("first_response_us_count", "timed") == 1


def test_an_error_in_mid_stream_is_passed_on_and_not_replayed(stage: Stage) -> None:
    stage.endpoint("breaks", CANDIDATE_ONLY, BOUNDLESS_RESCUE, decoupled=True)
    answers = stage.stream("breaks", [{"responses": 3, "v2.end_with": "INTERNAL"}])
    assert numbers(answers[:3]) == [0, 1, 2]
    assert [str(error) for error in answers[3:]] == ["told to fail"]
    stage.expect("breaks", {"v2 error": 1})


def test_an_error_before_the_first_response_is_made_up_for(stage: Stage) -> None:
    stage.endpoint("rescued", CANDIDATE_ONLY, BOUNDLESS_RESCUE, decoupled=True)
    answers = stage.stream("rescued", [{"v2.fail": "INTERNAL", "responses": 3}])
    assert {version_of(answer) for answer in answers} == {1}
    assert numbers(answers) == [0, 1, 2]
    stage.expect("rescued", {"v1 ok": 1, "v2 rescued": 1})


def test_no_response_but_an_error_is_made_up_for(stage: Stage) -> None:
    stage.endpoint("nothing-yet", CANDIDATE_ONLY, BOUNDLESS_RESCUE, decoupled=True)
    told = {"v2.responses": 0, "v2.end_with": "UNAVAILABLE"}
    assert [version_of(answer) for answer in stage.stream("nothing-yet", [told])] == [1]
    stage.expect("nothing-yet", {"v1 ok": 1, "v2 rescued": 1})


def test_where_both_fail_the_error_comes_once(stage: Stage) -> None:
    stage.endpoint("both", CANDIDATE_ONLY, BOUNDLESS_RESCUE, decoupled=True)
    answers = stage.stream("both", [{"fail": "INTERNAL"}])
    assert [str(error) for error in answers] == ["told to fail"]
    stage.expect("both", {"v1 error": 1, "v2 both_failed": 1})


def test_the_primary_may_fail_in_mid_stream_of_a_rescue(stage: Stage) -> None:
    stage.endpoint("halfway", CANDIDATE_ONLY, BOUNDLESS_RESCUE, decoupled=True)
    told = {"v2.fail": "INTERNAL", "v1.responses": 2, "v1.end_with": "UNSUPPORTED"}
    answers = stage.stream("halfway", [told])
    assert numbers(answers[:2]) == [0, 1]
    assert str(answers[2]) == "told to fail"
    stage.expect("halfway", {"v1 error": 1, "v2 both_failed": 1})


def test_a_timeout_is_for_the_first_response(stage: Stage) -> None:
    words = {2: "timeout_us 150000"}
    stage.endpoint("paced", CANDIDATE_ONLY, BOUNDLESS_RESCUE, decoupled=True, words=words)
    answers = stage.stream("paced", [{"responses": 5, "gap_ms": 80}])
    assert numbers(answers) == list(range(5))
    assert {version_of(answer) for answer in answers} == {2}
    answers = stage.stream("paced", [{"v2.delay_ms": 60_000, "responses": 2}])
    assert [version_of(answer) for answer in answers] == [1, 1]
    stage.expect("paced", {"v1 ok": 1, "v2 ok": 1, "v2 rescued": 1})


def test_what_an_abandoned_stream_still_says_reaches_nobody(stage: Stage) -> None:
    words = {2: "timeout_us 50000"}
    stage.endpoint("talks-on", CANDIDATE_ONLY, BOUNDLESS_RESCUE, decoupled=True, words=words)
    told = {
        "v2.delay_ms": 400,
        "v2.stubborn": True,
        "v2.responses": 5,
        "v1.responses": 3,
        "v1.gap_ms": 300,
    }
    answers = stage.stream("talks-on", [told])
    assert [version_of(answer) for answer in answers] == [1, 1, 1]
    eventually(lambda: stage.in_flight("talks-on") == 0)
    stage.expect("talks-on", {"v1 ok": 1, "v2 rescued": 1})


def test_the_router_may_be_reloaded_in_mid_stream(stage: Stage) -> None:
    stage.endpoint("reloaded", CANDIDATE_ONLY, decoupled=True)
    caller = Caller(stage, "reloaded", {"responses": 10, "gap_ms": 60})
    caller.wait_for(2)
    stage.route("reloaded", [10_000, 0])
    assert [version_of(a) for a in stage.stream("reloaded", [{"responses": 2}])] == [1, 1]
    answers = caller.close()
    assert numbers(answers) == list(range(10))
    assert {version_of(answer) for answer in answers} == {2}


def test_a_cancelled_stream_stops_the_arm(stage: Stage) -> None:
    stage.endpoint("stopped", CANDIDATE_ONLY, BOUNDLESS_RESCUE, decoupled=True)
    caller = Caller(stage, "stopped", {"responses": 10_000, "gap_ms": 20})
    caller.wait_for(2)
    caller.cancel()
    eventually(lambda: stage.in_flight("stopped") == 0)
    stage.expect("stopped", {"v2 cancelled": 1})


def test_a_stream_is_shadowed_by_a_stream(stage: Stage) -> None:
    shadow = "shadow 1 parts 10000 max_in_flight 100 compare y"
    stage.endpoint("shadowed", [10_000, 0], shadow, decoupled=True)
    assert numbers(stage.stream("shadowed", [{"responses": 5}])) == list(range(5))
    eventually(lambda: stage.metric("shadow_requests_total", "shadowed", 2, outcome="ok") == 1)
    # The first of each is held against the other.
    eventually(lambda: stage.metric("shadow_difference_sum", "shadowed", 2) == 1)
    assert stage.metric("shadow_difference_count", "shadowed", 2) == 1


def test_a_pinned_version_streams_as_well(stage: Stage, plain: str) -> None:
    answers = stage.stream(plain, [{"responses": 3}], model_version="2")
    assert [version_of(answer) for answer in answers] == [2, 2, 2]


def test_statistics_count_the_responses(stage: Stage, plain: str) -> None:
    stage.stream(plain, [{"responses": 4}], model_version="1")

    def responses() -> int:
        stats = stage.client.get_inference_statistics(plain, "1").model_stats[0]
        return sum(each.success.count for each in stats.response_stats.values())

    eventually(lambda: responses() == 4)

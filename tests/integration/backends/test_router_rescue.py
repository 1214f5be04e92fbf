"""A request that a candidate fails is replayed on the primary, and the caller does not notice."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.integration.backends.arms import (
    BOUNDLESS_RESCUE,
    RESCUE,
    WIDE_SIGNATURE,
    Stage,
    arm_name,
    version_of,
)
from tests.support.triton import eventually

EVEN = [5000, 5000]
BROKEN = {"v2.fail": "INTERNAL"}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_callers_never_see_a_candidate_that_always_fails(stage: Stage, protocol: str) -> None:
    endpoint = f"broken-{protocol}"
    # Of eight callers all may be on the candidate at once: each rescue must find room.
    stage.endpoint(endpoint, EVEN, "rescue budget 10000 floor 8")
    ask = stage.ask if protocol == "grpc" else stage.ask_http

    def call(_: int) -> list[int]:
        return [version_of(ask(endpoint, BROKEN)) for _ in range(100)]

    answered = [version for answers in stage.at_once(8, call) for version in answers]
    assert answered == [1] * 800
    outcomes = stage.outcomes(endpoint)
    rescued = outcomes["v2 rescued"]
    assert 300 < rescued < 500
    stage.expect(endpoint, {"v1 ok": 800, "v2 rescued": rescued})
    assert stage.metric("request_duration_us_count", endpoint, 2) == rescued
    stats = stage.client.get_inference_statistics(endpoint, "1000000000").model_stats[0]
    assert stats.inference_stats.success.count == 800
    assert stats.inference_stats.fail.count == 0


def test_with_the_breaker_on_nobody_sees_it_either(stage: Stage) -> None:
    breaker = (
        "breaker consecutive 5 rate 5000 min_requests 20 window_us 10000000 "
        "open_us 30000000 max_open_us 300000000"
    )
    stage.endpoint("guarded", EVEN, breaker, "rescue budget 2000 floor 8")

    def call(_: int) -> set[int]:
        return {version_of(stage.ask("guarded", BROKEN)) for _ in range(100)}

    assert stage.at_once(8, call) == [{1}] * 8
    # Five in a row open it; those on their way at that moment may add to them.
    assert 5 <= stage.outcomes("guarded")["v2 rescued"] <= 12
    assert stage.metric("ejections_total", "guarded", 2) == 1


@pytest.mark.parametrize(("protocol", "width"), [("json", 100), ("http", 50_000), ("grpc", 50_000)])
@pytest.mark.parametrize("timeout", [True, False])
def test_the_primary_is_asked_the_same(
    stage: Stage, protocol: str, width: int, timeout: bool
) -> None:
    endpoint = f"same-{protocol}-{timeout}".lower()
    # With a timeout the candidate reads a copy, without one the caller's own buffers.
    words = {2: "timeout_us 60000000"} if timeout else {}
    stage.endpoint(endpoint, [0, 10_000], BOUNDLESS_RESCUE, signature=WIDE_SIGNATURE, words=words)
    value = np.random.default_rng(width).random(width, np.float32)
    for told in (BROKEN, {**BROKEN, "v2.delay_ms": 20}):
        if protocol == "json":
            tensor = {"name": "x", "shape": [width], "datatype": "FP32", "data": value.tolist()}
            body = {"inputs": [tensor], "parameters": told}
            status, answer = stage.server.call(f"/v2/models/{endpoint}/infer", body)
            assert status == 200
            assert np.array_equal(np.array(answer["outputs"][0]["data"], np.float32), value)
        else:
            result = (stage.ask if protocol == "grpc" else stage.ask_http)(endpoint, told, x=value)
            assert np.array_equal(result.as_numpy("y"), value)
    stage.expect(endpoint, {"v1 ok": 2, "v2 rescued": 2})


def test_where_both_fail_the_caller_gets_the_primarys_error(stage: Stage) -> None:
    stage.endpoint("hopeless", [0, 10_000], RESCUE)
    told = {"v1.fail": "UNSUPPORTED", "v2.fail": "INTERNAL"}
    assert stage.refusal("hopeless", told) == ("UNIMPLEMENTED", "told to fail")
    stage.expect("hopeless", {"v1 error": 1, "v2 both_failed": 1})


def test_the_callers_own_mistake_is_not_replayed(stage: Stage) -> None:
    stage.endpoint("mistaken", [0, 10_000], RESCUE)
    code, _ = stage.refusal("mistaken", {"v2.fail": "INVALID_ARG"})
    assert code == "INVALID_ARGUMENT"
    stage.expect("mistaken", {"v2 error": 1})


def test_a_request_of_a_sequence_is_not_replayed(stage: Stage) -> None:
    stage.endpoint("in-a-row", [0, 10_000], RESCUE)
    options = {"sequence_id": 7, "sequence_start": True, "sequence_end": True}
    assert stage.refusal("in-a-row", BROKEN, **options)[0] == "INTERNAL"
    stage.expect("in-a-row", {"v2 error": 1})


def test_without_a_rescue_line_the_error_is_the_callers(stage: Stage) -> None:
    stage.endpoint("alone", [0, 10_000])
    assert stage.refusal("alone", BROKEN) == ("INTERNAL", "told to fail")
    stage.expect("alone", {"v2 error": 1})


def test_a_failure_of_the_primary_is_not_replayed(stage: Stage) -> None:
    stage.endpoint("main-fails", [10_000, 0], RESCUE)
    assert stage.refusal("main-fails", {"v1.fail": "INTERNAL"})[0] == "INTERNAL"
    stage.expect("main-fails", {"v1 error": 1})


def test_a_candidate_that_is_not_loaded_is_made_up_for(stage: Stage) -> None:
    stage.endpoint("absent", EVEN, RESCUE, absent=[2])
    assert stage.arms("absent", 40) == {1: 40}
    assert stage.outcomes("absent")["v2 rescued"] > 5


def test_a_candidate_unloaded_under_load_is_made_up_for(stage: Stage) -> None:
    stage.endpoint("leaving", EVEN, "rescue budget 10000 floor 8")
    stop = threading.Event()
    failures: list[InferenceServerException] = []

    def call(_: int) -> None:
        while not stop.is_set():
            try:
                stage.ask("leaving")
            except InferenceServerException as error:
                failures.append(error)

    callers = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for each in callers:
        each.start()
    try:
        for _ in range(5):
            stage.server.unload(arm_name("leaving", 2))
            before = stage.outcomes("leaving").get("v2 rescued", 0)
            eventually(lambda b=before: stage.outcomes("leaving").get("v2 rescued", 0) > b + 10)
            stage.server.load(arm_name("leaving", 2))
    finally:
        stop.set()
        for each in callers:
            each.join()
    assert failures == []


def test_the_number_of_rescues_at_once_is_bounded(stage: Stage) -> None:
    stage.endpoint("bounded", [0, 10_000], "rescue budget 0 floor 1")
    # All fail at about the same time; the one that is replayed keeps the only place.
    told = {"v2.fail": "INTERNAL", "v2.delay_ms": 100, "v1.delay_ms": 1500}
    pending = [stage.begin("bounded", told) for _ in range(6)]
    codes = sorted(each.code() for each in pending)
    assert codes == ["INTERNAL"] * 5 + ["OK"]
    stage.expect("bounded", {"v1 ok": 1, "v2 error": 5, "v2 rescued": 1})
    # Its place is free again.
    assert version_of(stage.ask("bounded", BROKEN)) == 1


def test_the_budget_grows_with_what_is_in_flight(stage: Stage) -> None:
    stage.endpoint("share", [0, 10_000], "rescue budget 5000 floor 0")
    told = {"v2.fail": "INTERNAL", "v2.delay_ms": 200, "v1.delay_ms": 1500}
    codes = [each.code() for each in [stage.begin("share", told) for _ in range(10)]]
    # Half of those in flight: of ten, then of nine, ... as those without a place are answered.
    assert 4 <= codes.count("OK") <= 5


def test_while_the_breaker_is_open_rescues_have_no_bound(stage: Stage) -> None:
    breaker = (
        "breaker consecutive 1 rate 0 min_requests 1 window_us 10000000 "
        "open_us 60000000 max_open_us 60000000"
    )
    stage.endpoint("opening", [0, 10_000], breaker, "rescue budget 0 floor 0")
    told = {"v2.fail": "INTERNAL", "v2.delay_ms": 200, "v1.delay_ms": 300}
    codes = [each.code() for each in [stage.begin("opening", told) for _ in range(6)]]
    assert codes == ["OK"] * 6
    stage.expect("opening", {"v1 ok": 6, "v2 rescued": 6})


def test_a_request_whose_time_is_up_is_not_replayed(stage: Stage) -> None:
    stage.endpoint("too-late", [0, 10_000], RESCUE)
    told = {"v2.fail": "INTERNAL", "v2.delay_ms": 150}
    assert stage.refusal("too-late", told, timeout=50_000)[0] == "INTERNAL"
    stage.expect("too-late", {"v2 error": 1})
    assert version_of(stage.ask("too-late", told, timeout=30_000_000)) == 1


def test_a_cancelled_request_is_not_replayed(stage: Stage) -> None:
    stage.endpoint("left", [0, 10_000], RESCUE)
    pending = stage.begin("left", {"v2.delay_ms": 20_000})
    eventually(lambda: stage.in_flight("left", 2) == 1)
    pending.cancel()
    stage.expect("left", {"v2 cancelled": 1})


def test_a_failure_after_the_caller_left_is_not_replayed(stage: Stage) -> None:
    stage.endpoint("left-first", [0, 10_000], RESCUE)
    told = {"v2.delay_ms": 600, "v2.stubborn": True, "v2.fail": "INTERNAL"}
    pending = stage.begin("left-first", told)
    eventually(lambda: stage.in_flight("left-first", 2) == 1)
    pending.cancel()
    stage.expect("left-first", {"v2 error": 1})


def test_a_candidate_that_does_not_answer_in_time_is_made_up_for(stage: Stage) -> None:
    stage.endpoint("hanging", [0, 10_000], RESCUE, words={2: "timeout_us 200000"})
    pending = stage.begin("hanging", {"v2.delay_ms": 2000, "v2.stubborn": True})
    answer = pending.answer()
    assert version_of(answer) == 1
    assert answer.as_numpy("y").tolist() == [[1.0] * 4]
    assert 0.2 <= pending.took_s < 1.5
    stage.expect("hanging", {"v1 ok": 1, "v2 rescued": 1})
    # The abandoned attempt takes up its arm until it really ends.
    assert stage.in_flight("hanging", 2) == 1
    eventually(lambda: stage.in_flight("hanging") == 0)
    stage.expect("hanging", {"v1 ok": 1, "v2 rescued": 1})


def test_an_attempt_that_was_given_up_is_cancelled(stage: Stage) -> None:
    stage.endpoint("given-up", [0, 10_000], RESCUE, words={2: "timeout_us 100000"})
    assert version_of(stage.ask("given-up", {"v2.delay_ms": 60_000})) == 1
    eventually(lambda: stage.in_flight("given-up") == 0)


def test_an_attempt_that_was_given_up_may_outlive_its_router(stage: Stage) -> None:
    stage.endpoint("outlived", [0, 10_000], RESCUE, words={2: "timeout_us 50000"})
    told = {"v2.delay_ms": 1500, "v2.stubborn": True}
    answers = [each.answer() for each in [stage.begin("outlived", told) for _ in range(3)]]
    assert [version_of(answer) for answer in answers] == [1, 1, 1]
    stage.server.unload("outlived")
    assert stage.in_flight("outlived", 2) == 3
    eventually(lambda: stage.in_flight("outlived") == 0)
    stage.server.load("outlived")
    assert version_of(stage.ask("outlived")) == 2

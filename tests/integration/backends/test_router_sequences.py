"""Sequences stay on the arm where they began, until they end, are cut, or fall silent."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.backends.arms import BOUNDLESS_RESCUE, Stage, arm_name, tensor, version_of
from tests.support import models
from tests.support.triton import eventually

FIRST, SECOND = [10_000, 0], [0, 10_000]
CUT = "sequences cut idle_us 60000000"


def start(stage: Stage, endpoint: str, sequence: int | str, **options: Any) -> int:
    answer = stage.ask(endpoint, sequence_id=sequence, sequence_start=True, **options)
    return version_of(answer)


def go_on(stage: Stage, endpoint: str, sequence: int | str, **options: Any) -> int:
    return version_of(stage.ask(endpoint, sequence_id=sequence, **options))


def end(stage: Stage, endpoint: str, sequence: int | str) -> int:
    return version_of(stage.ask(endpoint, sequence_id=sequence, sequence_end=True))


def pinned(stage: Stage, endpoint: str) -> dict[int, float]:
    counts = {version: stage.metric("pinned_sequences", endpoint, version) for version in (1, 2)}
    return {version: count for version, count in counts.items() if count}


def test_it_stays_where_it_began_while_the_weights_move(stage: Stage) -> None:
    stage.endpoint("stays", FIRST)
    assert start(stage, "stays", 7) == 1
    for weights in (SECOND, [5000, 5000], SECOND):
        stage.route("stays", weights)
        assert [go_on(stage, "stays", 7) for _ in range(5)] == [1] * 5
    stage.server.unload("stays")
    stage.server.load("stays")
    assert go_on(stage, "stays", 7) == 1
    assert stage.arms("stays", 5) == {2: 5}  # all others
    assert end(stage, "stays", 7) == 1
    assert start(stage, "stays", 7) == 2
    assert end(stage, "stays", 7) == 2


def test_over_http_as_well(stage: Stage) -> None:
    stage.endpoint("http", FIRST)
    answer = stage.ask_http("http", sequence_id="abc", sequence_start=True)
    assert version_of(answer) == 1
    stage.route("http", SECOND)
    assert version_of(stage.ask_http("http", sequence_id="abc")) == 1
    assert go_on(stage, "http", "abc") == 1
    assert version_of(stage.ask_http("http", sequence_id="abc", sequence_end=True)) == 1
    assert pinned(stage, "http") == {}


def test_a_number_and_the_same_digits_are_two_sequences(stage: Stage) -> None:
    stage.endpoint("digits", FIRST)
    assert start(stage, "digits", 5) == 1
    stage.route("digits", SECOND)
    assert start(stage, "digits", "5") == 2
    assert [go_on(stage, "digits", 5), go_on(stage, "digits", "5")] == [1, 2]
    assert pinned(stage, "digits") == {1: 1, 2: 1}
    assert end(stage, "digits", 5) == 1
    assert go_on(stage, "digits", "5") == 2
    assert end(stage, "digits", "5") == 2
    assert pinned(stage, "digits") == {}


def test_endpoints_do_not_share_sequences(stage: Stage) -> None:
    stage.endpoint("mine", FIRST)
    stage.endpoint("yours", SECOND)
    assert start(stage, "mine", 1) == 1
    assert start(stage, "yours", 1) == 2
    assert [go_on(stage, "mine", 1), go_on(stage, "yours", 1)] == [1, 2]
    assert [end(stage, "mine", 1), end(stage, "yours", 1)] == [1, 2]


def test_many_interleaved(stage: Stage) -> None:
    stage.endpoint("many", [5000, 5000])
    where = {sequence: start(stage, "many", sequence) for sequence in range(1, 101)}
    assert pinned(stage, "many") == {
        version: list(where.values()).count(version) for version in (1, 2)
    }

    def call(number: int) -> list[tuple[int, int]]:
        mine = [sequence for sequence in where if sequence % 4 == number] * 5
        random.Random(number).shuffle(mine)
        return [(sequence, go_on(stage, "many", sequence)) for sequence in mine]

    for found in stage.at_once(4, call):
        assert all(where[sequence] == version for sequence, version in found)
    for sequence, version in where.items():
        assert end(stage, "many", sequence) == version
    assert pinned(stage, "many") == {}


def test_a_single_request_may_be_a_whole_sequence(stage: Stage) -> None:
    stage.endpoint("whole", FIRST)
    for sequence in range(1, 20):
        stage.ask("whole", sequence_id=sequence, sequence_start=True, sequence_end=True)
    assert pinned(stage, "whole") == {}


def test_a_start_begins_anew_where_the_policy_says(stage: Stage) -> None:
    stage.endpoint("anew", FIRST)
    assert start(stage, "anew", 3) == 1
    stage.route("anew", SECOND)
    assert start(stage, "anew", 3) == 2
    assert pinned(stage, "anew") == {2: 1}
    assert end(stage, "anew", 3) == 2


def test_a_request_without_a_sequence_is_none(stage: Stage) -> None:
    stage.endpoint("none", FIRST)
    stage.arms("none", 5)
    assert pinned(stage, "none") == {}


def test_silence_ends_it(stage: Stage) -> None:
    stage.endpoint("silent", FIRST, "sequences finish idle_us 700000")
    for sequence in (1, "1", 2):
        start(stage, "silent", sequence)
    stage.route("silent", SECOND, "sequences finish idle_us 700000")
    assert pinned(stage, "silent") == {1: 3}
    assert go_on(stage, "silent", 1) == 1
    eventually(lambda: pinned(stage, "silent") == {})
    assert go_on(stage, "silent", 1) == 2
    assert end(stage, "silent", 1) == 2


def test_a_sequence_that_speaks_does_not_expire(stage: Stage) -> None:
    stage.endpoint("speaks", FIRST, "sequences finish idle_us 2000000")
    start(stage, "speaks", 1)
    stage.route("speaks", SECOND, "sequences finish idle_us 2000000")
    clock = stage.clock()
    eventually(lambda: go_on(stage, "speaks", 1) == 1 and clock() > 4)
    assert end(stage, "speaks", 1) == 1


def test_an_open_breaker_does_not_move_it(stage: Stage) -> None:
    breaker = (
        "breaker consecutive 1 rate 0 min_requests 1 window_us 10000000 "
        "open_us 600000000 max_open_us 600000000"
    )
    stage.endpoint("ejected", SECOND, breaker, BOUNDLESS_RESCUE)
    assert start(stage, "ejected", 4) == 2
    assert version_of(stage.ask("ejected", {"v2.fail": "INTERNAL"})) == 1
    assert version_of(stage.ask("ejected")) == 1
    assert go_on(stage, "ejected", 4) == 2
    assert end(stage, "ejected", 4) == 2


def test_a_failed_request_does_not_end_it(stage: Stage) -> None:
    stage.endpoint("fails", SECOND, BOUNDLESS_RESCUE)
    start(stage, "fails", 4)
    assert stage.refusal("fails", {"v2.fail": "INTERNAL"}, sequence_id=4)[0] == "INTERNAL"
    stage.route("fails", FIRST)
    assert go_on(stage, "fails", 4) == 2
    assert end(stage, "fails", 4) == 2


def test_a_full_arm_still_takes_its_own(stage: Stage) -> None:
    words = {2: "max_in_flight 1 overflow reject"}
    stage.endpoint("full", SECOND, words=words)
    start(stage, "full", 4)
    eventually(lambda: stage.in_flight("full", 2) == 0)  # an answer is there before its place is
    busy = stage.begin("full", {"delay_ms": 60_000})
    eventually(lambda: stage.in_flight("full", 2) == 1)
    assert stage.refusal("full")[0] == "UNAVAILABLE"
    assert stage.refusal("full", sequence_id=5, sequence_start=True)[0] == "UNAVAILABLE"
    assert go_on(stage, "full", 4) == 2
    assert end(stage, "full", 4) == 2
    busy.cancel()
    eventually(lambda: stage.in_flight("full") == 0)
    assert pinned(stage, "full") == {}


def test_a_long_request_does_not_age_it(stage: Stage) -> None:
    stage.endpoint("patient", SECOND, "sequences finish idle_us 300000")
    start(stage, "patient", 4)
    stage.route("patient", FIRST, "sequences finish idle_us 300000")
    long = stage.begin("patient", {"delay_ms": 1500}, sequence_id=4)
    assert version_of(long.answer()) == 2
    assert go_on(stage, "patient", 4) == 2
    assert end(stage, "patient", 4) == 2


def test_its_requests_use_up_the_allowance(stage: Stage) -> None:
    stage.endpoint("uses", SECOND, allowances=["1 grant a attempts 5 failures - until_ms -"])
    start(stage, "uses", 4)
    assert [go_on(stage, "uses", 4) for _ in range(3)] == [2, 2, 2]
    assert stage.arms("uses", 3) == {2: 1, 1: 2}
    assert end(stage, "uses", 4) == 2


def test_a_spent_allowance_does_not_move_it(stage: Stage) -> None:
    grant = ["1 grant a attempts 1 failures - until_ms -"]
    stage.endpoint("spent", SECOND, allowances=grant)
    assert start(stage, "spent", 4) == 2
    assert version_of(stage.ask("spent")) == 1
    assert [go_on(stage, "spent", 4) for _ in range(3)] == [2, 2, 2]
    assert end(stage, "spent", 4) == 2
    assert start(stage, "spent", 5) == 1
    assert end(stage, "spent", 5) == 1


def test_its_timeout_is_the_callers_to_see(stage: Stage) -> None:
    stage.endpoint("slow", SECOND, BOUNDLESS_RESCUE, words={2: "timeout_us 60000"})
    start(stage, "slow", 4)
    code, message = stage.refusal("slow", {"delay_ms": 60_000}, sequence_id=4)
    assert code == "UNAVAILABLE"
    assert "did not answer within its time" in message
    assert end(stage, "slow", 4) == 2
    stage.expect("slow", {"v2 ok": 2, "v2 timeout": 1})


def test_an_arm_that_was_unloaded_is_not_replaced(stage: Stage) -> None:
    stage.endpoint("unloaded", SECOND, BOUNDLESS_RESCUE)
    start(stage, "unloaded", 4)
    stage.server.unload(arm_name("unloaded", 2))
    eventually(lambda: not stage.client.is_model_ready(arm_name("unloaded", 2)))
    code, message = stage.refusal("unloaded", sequence_id=4)
    assert code == "UNAVAILABLE"
    assert arm_name("unloaded", 2) in message
    stage.server.load(arm_name("unloaded", 2))
    assert end(stage, "unloaded", 4) == 2


# --- cut -----------------------------------------------------------------------------------------


def test_it_is_cut_where_the_policy_says_so(stage: Stage) -> None:
    stage.endpoint("cut", SECOND, CUT)
    assert start(stage, "cut", 9) == 2
    stage.route("cut", FIRST, CUT)
    code, message = stage.refusal("cut", sequence_id=9)
    assert code == "UNAVAILABLE"
    assert "start the sequence again" in message
    assert arm_name("cut", 2) in message
    assert pinned(stage, "cut") == {}
    assert start(stage, "cut", 9) == 1
    assert end(stage, "cut", 9) == 1
    stage.expect("cut", {"v1 ok": 2, "v2 ok": 1, "v2 rejected": 1})


def test_a_cut_leaves_those_alone_whose_arm_is_still_in_use(stage: Stage) -> None:
    stage.endpoint("spared", SECOND, CUT)
    start(stage, "spared", 1)
    stage.route("spared", [9999, 1], CUT)
    assert go_on(stage, "spared", 1) == 2
    stage.route("spared", FIRST, "rule 1 parameter tester equals yes", CUT)
    assert go_on(stage, "spared", 1) == 2
    assert end(stage, "spared", 1) == 2


@pytest.mark.parametrize("on_change", ["finish", "cut"])
def test_the_arm_may_leave_the_policy(stage: Stage, on_change: str) -> None:
    endpoint = f"leaves-{on_change}"
    line = f"sequences {on_change} idle_us 60000000"
    stage.endpoint(endpoint, SECOND, line)
    start(stage, endpoint, "s")
    stage.route(endpoint, [10_000], line)  # version 2 is not named any more
    if on_change == "finish":
        assert go_on(stage, endpoint, "s") == 2
        assert end(stage, endpoint, "s") == 2
        assert start(stage, endpoint, "s") == 1
        assert end(stage, endpoint, "s") == 1
    else:
        assert stage.refusal(endpoint, sequence_id="s")[0] == "UNAVAILABLE"
    assert pinned(stage, endpoint) == {}


# --- a model that keeps state --------------------------------------------------------------------

# Adds up what each sequence sends, in the slot that the sequence batcher gives it.
SUMMING = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        self.sums = {}

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        def value(name):
            return pb_utils.get_input_tensor_by_name(request, name).as_numpy().ravel()[0]

        if not value("READY"):
            return pb_utils.InferenceResponse([pb_utils.Tensor("y", np.zeros((1, 4), np.float32))])
        sequence = int(value("CORRID"))
        given = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
        total = given if value("START") else self.sums[sequence] + given
        self.sums[sequence] = total
        if value("END"):
            del self.sums[sequence]
        return pb_utils.InferenceResponse([pb_utils.Tensor("y", total)])
"""

BATCHED = (
    models.MULTIPLIER_SIGNATURE
    + """
sequence_batching {
  max_sequence_idle_microseconds: 20000000
  control_input { name: "START"
    control { kind: CONTROL_SEQUENCE_START int32_false_true: [0, 1] } }
  control_input { name: "END"
    control { kind: CONTROL_SEQUENCE_END int32_false_true: [0, 1] } }
  control_input { name: "READY"
    control { kind: CONTROL_SEQUENCE_READY int32_false_true: [0, 1] } }
  control_input { name: "CORRID"
    control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } }
  STRATEGY
}
"""
)


@pytest.fixture(scope="module")
def sums(stage: Stage) -> str:
    """Two arms with the two strategies that the sequence batcher has."""
    stage.endpoint("sums", FIRST, "rule 1 parameter start-on equals two")
    for version, strategy in ((1, "direct {}"), (2, "oldest { max_candidate_sequences: 8 }")):
        stage.server.unload(arm_name("sums", version))
        config = BATCHED.replace("STRATEGY", strategy)
        models.python_model(stage.server.repository, arm_name("sums", version), config, SUMMING)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(stage.server.load, [arm_name("sums", version) for version in (1, 2)]))
    return "sums"


def add(stage: Stage, endpoint: str, value: float, **options: Any) -> tuple[int, float]:
    inputs = [tensor(np.full((1, 4), value, np.float32))]
    answer = stage.client.infer(endpoint, inputs, **options)
    return version_of(answer), float(answer.as_numpy("y")[0][0])


def test_running_sums_are_right_on_both_arms(stage: Stage, sums: str) -> None:
    def call(number: int) -> None:
        # The rule sees the first request alone: it is the pin that keeps the others there.
        sequence, version = 100 + number, number % 2 + 1
        first = {"start-on": "two"} if version == 2 else {}
        total = 1.0
        options: dict[str, Any] = {"sequence_id": sequence, "sequence_start": True}
        assert add(stage, sums, total, parameters=first, **options) == (version, total)
        for step in range(2, 20):
            total += step * (number + 1)
            got = add(stage, sums, step * (number + 1), sequence_id=sequence)
            assert got == (version, total)
        got = add(stage, sums, 0.5, sequence_id=sequence, sequence_end=True)
        assert got == (version, total + 0.5)

    stage.at_once(6, call)
    assert pinned(stage, sums) == {}
    stage.expect(sums, {"v1 ok": 60, "v2 ok": 60})


def test_running_sums_go_on_while_everything_moves(stage: Stage, sums: str) -> None:
    totals = {1: 0.0, 2: 0.0}
    for version, sequence in ((1, 201), (2, 202)):
        parameters = {"start-on": "two"} if version == 2 else {}
        options: dict[str, Any] = {"sequence_id": sequence, "sequence_start": True}
        totals[version] += version
        got = add(stage, sums, version, parameters=parameters, **options)
        assert got == (version, totals[version])
    for weights in (SECOND, FIRST, [5000, 5000], SECOND):
        stage.route(sums, weights)
        for version, sequence in ((1, 201), (2, 202)):
            totals[version] += 10
            assert add(stage, sums, 10, sequence_id=sequence) == (version, totals[version])
    for version, sequence in ((1, 201), (2, 202)):
        got = add(stage, sums, 1, sequence_id=sequence, sequence_end=True)
        assert got == (version, totals[version] + 1)


def test_over_a_stream_of_their_own(stage: Stage, sums: str, tmp_path: Path) -> None:
    stage.route(sums, FIRST)
    client = stage.server.grpc_client()
    answers: list[Any] = []
    client.start_stream(callback=lambda result, error: answers.append(error or result))
    for step in range(10):
        for sequence in (301, 302):
            client.async_stream_infer(
                sums,
                [tensor(np.full((1, 4), sequence - 300, np.float32))],
                request_id=f"{sequence}-{step}",
                sequence_id=sequence,
                sequence_start=step == 0,
                sequence_end=step == 9,
            )
    client.stop_stream()
    got = {answer.get_response().id: float(answer.as_numpy("y")[0][0]) for answer in answers}
    assert got == {
        f"{sequence}-{step}": (step + 1) * (sequence - 300.0)
        for step in range(10)
        for sequence in (301, 302)
    }

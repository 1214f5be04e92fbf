"""Allowances: an arm gets so many tries and no more, whatever has become of the control plane."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter

from tests.integration.backends.arms import BOUNDLESS_RESCUE, Stage, version_of
from tests.support.triton import eventually

CANDIDATE_ONLY = [0, 10_000]


def granted(word: str, *, attempts: object = "-", failures: object = "-", until: object = "-"):
    """The policy's line for the candidate."""
    return [f"1 grant {word} attempts {attempts} failures {failures} until_ms {until}"]


def left(stage: Stage, endpoint: str, of: str = "attempts") -> float:
    return stage.metric("allowance_left", endpoint, 2, of=of)


def total(counts: list[Counter[int]]) -> Counter[int]:
    return sum(counts, Counter())


def test_exactly_so_many_attempts_under_concurrency(stage: Stage) -> None:
    stage.endpoint("exact", CANDIDATE_ONLY, allowances=granted("a", attempts=101))
    assert left(stage, "exact") == 101
    answered = total(stage.at_once(8, lambda _: stage.arms("exact", 40)))
    assert answered == {2: 101, 1: 219}
    eventually(lambda: left(stage, "exact") == 0)
    assert left(stage, "exact", "failures") == math.inf  # each of the two by itself
    assert stage.metric("diverted_total", "exact", 2, reason="allowance") == 219
    stage.expect("exact", {"v1 ok": 219, "v2 ok": 101})


def test_what_is_left_is_shown(stage: Stage) -> None:
    stage.endpoint("shown", CANDIDATE_ONLY, allowances=granted("a", attempts=10, failures=5))
    stage.arms("shown", 4)
    eventually(lambda: left(stage, "shown") == 6)
    stage.refusal("shown", {"v2.fail": "INTERNAL"})
    eventually(lambda: left(stage, "shown") == 5)
    eventually(lambda: left(stage, "shown", "failures") == 4)
    stage.route("shown", CANDIDATE_ONLY)
    assert left(stage, "shown") == math.inf


def test_the_same_grant_goes_on_over_reloads(stage: Stage) -> None:
    grant = granted("a", attempts=100)
    stage.endpoint("renewed", CANDIDATE_ONLY, allowances=grant)
    stop = threading.Event()
    counts: list[Counter[int]] = []

    def call() -> None:
        mine: Counter[int] = Counter()
        while not stop.is_set():
            mine += stage.arms("renewed", 1)
        counts.append(mine)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for each in callers:
        each.start()
    try:
        for weights in ([1000, 9000], CANDIDATE_ONLY) * 5:
            stage.route("renewed", weights, allowances=grant)
        eventually(lambda: left(stage, "renewed") == 0)
    finally:
        stop.set()
        for each in callers:
            each.join()
    assert total(counts)[2] == 100
    stage.server.unload("renewed")
    stage.server.load("renewed")
    assert stage.arms("renewed", 10) == {1: 10}


def test_another_grant_starts_anew(stage: Stage) -> None:
    stage.endpoint("regranted", CANDIDATE_ONLY, allowances=granted("a", attempts=5))
    assert stage.arms("regranted", 10) == {2: 5, 1: 5}
    stage.route("regranted", CANDIDATE_ONLY, allowances=granted("b", attempts=5))
    assert left(stage, "regranted") == 5
    assert stage.arms("regranted", 10) == {2: 5, 1: 5}


def test_a_version_served_anew_goes_on_with_its_grant(stage: Stage) -> None:
    stage.endpoint("renamed", [10_000, 0, 0])
    grant = granted("a", attempts=5)
    stage.route("renamed", CANDIDATE_ONLY, allowances=grant)
    assert stage.arms("renamed", 3) == {2: 3}
    stage.route("renamed", CANDIDATE_ONLY, versions=[1, 3], allowances=grant)
    assert stage.arms("renamed", 10) == {3: 2, 1: 8}


def test_a_policy_without_an_allowance_lifts_it(stage: Stage) -> None:
    stage.endpoint("lifted", CANDIDATE_ONLY, allowances=granted("a", attempts=1))
    stage.arms("lifted", 2)
    stage.route("lifted", CANDIDATE_ONLY)
    assert stage.arms("lifted", 10) == {2: 10}


def test_so_many_failures_and_no_more(stage: Stage) -> None:
    grant = granted("a", failures=3)
    stage.endpoint("failing", CANDIDATE_ONLY, BOUNDLESS_RESCUE, allowances=grant)
    assert stage.arms("failing", 10) == {2: 10}
    assert stage.arms("failing", 10, {"v2.fail": "INTERNAL"}) == {1: 10}
    stage.expect("failing", {"v1 ok": 10, "v2 ok": 10, "v2 rescued": 3})
    assert stage.arms("failing", 10) == {1: 10}
    eventually(lambda: left(stage, "failing", "failures") == 0)
    assert left(stage, "failing") == math.inf  # which of the two it was


def test_never_more_failures_than_granted_however_many_call(stage: Stage) -> None:
    grant = granted("a", failures=3)
    stage.endpoint("harmed", CANDIDATE_ONLY, BOUNDLESS_RESCUE, allowances=grant)
    slowly_failing = {"v2.fail": "INTERNAL", "v2.delay_ms": 20}
    answered = total(stage.at_once(8, lambda _: stage.arms("harmed", 5, slowly_failing)))
    assert answered == {1: 40}
    stage.expect("harmed", {"v1 ok": 40, "v2 rescued": 3})


def test_a_failure_that_may_yet_happen_is_left_and_not_given_twice(stage: Stage) -> None:
    grant = granted("a", failures=1)
    stage.endpoint("reserved", CANDIDATE_ONLY, allowances=grant)
    busy = stage.begin("reserved", {"delay_ms": 60_000})
    eventually(lambda: stage.in_flight("reserved", 2) == 1)
    stage.route("reserved", CANDIDATE_ONLY, allowances=grant)  # what is under way stays reserved
    assert stage.arms("reserved", 5) == {1: 5}
    assert left(stage, "reserved", "failures") == 1
    busy.cancel()
    eventually(lambda: stage.in_flight("reserved", 2) == 0)
    assert stage.arms("reserved", 5) == {2: 5}


def test_the_callers_mistakes_are_attempts_and_no_failures(stage: Stage) -> None:
    stage.endpoint("mistakes", CANDIDATE_ONLY, allowances=granted("a", attempts=3, failures=1))
    for _ in range(2):
        assert stage.refusal("mistakes", {"v2.fail": "INVALID_ARG"})[0] == "INVALID_ARGUMENT"
    assert stage.arms("mistakes", 4) == {2: 1, 1: 3}


def test_timeouts_are_failures(stage: Stage) -> None:
    words = {2: "timeout_us 30000"}
    grant = granted("a", failures=1)
    stage.endpoint("timeouts", CANDIDATE_ONLY, BOUNDLESS_RESCUE, allowances=grant, words=words)
    assert version_of(stage.ask("timeouts", {"v2.delay_ms": 60_000})) == 1
    assert stage.arms("timeouts", 5) == {1: 5}


def test_it_ends_with_its_deadline(stage: Stage) -> None:
    soon = int((time.time() + 1.5) * 1000)
    stage.endpoint("deadline", CANDIDATE_ONLY, allowances=granted("a", until=soon))
    assert version_of(stage.ask("deadline")) == 2
    assert left(stage, "deadline") == math.inf
    eventually(lambda: version_of(stage.ask("deadline")) == 1)
    assert time.time() * 1000 >= soon - 5
    assert stage.arms("deadline", 10) == {1: 10}
    eventually(lambda: left(stage, "deadline") == 0)


def test_a_deadline_that_is_past_lets_nothing_through(stage: Stage) -> None:
    past = int(time.time() * 1000) - 1
    stage.endpoint("past", CANDIDATE_ONLY, allowances=granted("a", attempts=100, until=past))
    assert stage.arms("past", 10) == {1: 10}
    assert left(stage, "past") == 0


def test_rules_do_not_get_round_it(stage: Stage) -> None:
    rule = "rule 1 parameter tester equals yes"
    stage.endpoint("ruled", [10_000, 0], rule, allowances=granted("a", attempts=3))
    assert stage.arms("ruled", 10, {"tester": "yes"}) == {2: 3, 1: 7}


def test_a_pinned_version_takes_nothing_of_it(stage: Stage) -> None:
    grant = granted("a", attempts=3, failures=1)
    stage.endpoint("numbered", CANDIDATE_ONLY, allowances=grant)
    assert stage.arms("numbered", 10, model_version="2") == {2: 10}
    stage.refusal("numbered", {"v2.fail": "INTERNAL"}, model_version="2")
    assert stage.arms("numbered", 10) == {2: 3, 1: 7}
    assert stage.arms("numbered", 10, model_version="2") == {2: 10}


def test_a_request_that_found_the_arm_full_takes_nothing(stage: Stage) -> None:
    words = {2: "max_in_flight 1"}
    grant = granted("a", attempts=3)
    stage.endpoint("full", CANDIDATE_ONLY, allowances=grant, words=words)
    busy = stage.begin("full", {"delay_ms": 60_000})
    eventually(lambda: stage.in_flight("full", 2) == 1)
    assert stage.arms("full", 10) == {1: 10}
    busy.cancel()
    eventually(lambda: stage.in_flight("full", 2) == 0)
    assert stage.arms("full", 10) == {2: 2, 1: 8}

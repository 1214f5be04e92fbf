"""An analysis run, look by look: verdicts, errors, time, and what is kept between looks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.domain.analysis.evidence import ArmEvidence, Evidence, merged
from control_plane.domain.analysis.looking import (
    RunEndedError,
    RunState,
    begin,
    look,
    state_from_document,
)
from control_plane.domain.analysis.looks import Look, Phase
from control_plane.domain.analysis.template import SHADOW_DOCUMENT, Template, read_template

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
ERRORS = {"name": "errors", "kind": "error_rate"}
CORRECT = {"name": "labels", "kind": "feedback", "outcome": "correct"}


def template(*metrics: dict[str, Any], **more: Any) -> Template:
    return read_template({"metrics": list(metrics or [ERRORS]), **more})


def failures(candidate: tuple[int, int], baseline: tuple[int, int]) -> Evidence:
    """(attempts, failures) of each arm within a second."""
    return Evidence(1, ArmEvidence(*candidate), ArmEvidence(*baseline))


def labels(candidate: tuple[int, int], baseline: tuple[int, int]) -> Evidence:
    """(of, correct) of each arm."""
    arms = (ArmEvidence(feedback={"correct": known}) for known in (candidate, baseline))
    return Evidence(1, *arms)


def looked(
    template: Template, *found: Evidence | None, state: RunState | None = None
) -> tuple[RunState, Look]:
    """One look a second until it ends; through JSON in between, as it is kept."""
    state = state or begin(template, NOW)
    for each in found:
        state = state_from_document(template, json.loads(json.dumps(state.to_document())))
        state, last = look(template, state, each, NOW + timedelta(seconds=state.looks))
        if last.phase.ended:
            break
    json.dumps(last.to_document())
    return state, last


def test_a_version_that_fails_every_request_is_failed_at_the_first_look() -> None:
    _, found = looked(template(), failures((10, 10), (190, 2)))
    assert found.phase is Phase.FAILED
    assert "100 % of 10" in found.reason
    assert "+0.5 points" in found.reason


def test_a_good_version_passes_when_that_is_shown_and_not_before() -> None:
    even = failures((200, 2), (200, 2))
    state, found = looked(template(), even)
    assert found.phase is Phase.RUNNING
    assert found.metrics[0].candidate.count == 2
    for _ in range(60):
        state, found = looked(template(), even, state=state)
        if found.phase.ended:
            break
    assert found.phase is Phase.SUCCESSFUL
    assert "less than +0.5 points" in found.reason
    upper = found.metrics[0].upper
    assert upper is not None
    assert upper <= 0.005


def test_a_run_that_ended_takes_no_further_look() -> None:
    state, _ = looked(template(), failures((10, 10), (190, 2)))
    with pytest.raises(RunEndedError, match="Failed"):
        look(template(), state, None, NOW)


def test_what_could_not_be_measured_is_an_error_only_after_so_many_in_a_row() -> None:
    patient = template(errorLimit=3)
    quiet = failures((0, 0), (0, 0))
    state, found = looked(patient, None, None, quiet, None, None)
    assert (found.phase, state.errors) == (Phase.RUNNING, 2)
    _, found = looked(patient, None, state=state)
    assert found.phase is Phase.ERROR
    assert "3 times in a row" in found.reason


def test_no_traffic_is_no_error_and_becomes_inconclusive_when_time_is_up() -> None:
    short = template(inconclusiveAfter="3s")
    quiet = failures((0, 0), (200, 2))
    _, found = looked(short, quiet, quiet, quiet)
    assert found.phase is Phase.RUNNING
    assert "counted for the candidate so far: no request" in found.reason
    _, found = looked(short, quiet, quiet, quiet, quiet)
    assert found.phase is Phase.INCONCLUSIVE


def test_worse_labels_fail_and_are_told_in_shares_of_the_right_ones() -> None:
    _, found = looked(template(CORRECT), labels((200, 100), (200, 190)))
    assert found.phase is Phase.FAILED
    metric = found.metrics[0]
    assert (metric.better, metric.candidate.estimate, metric.limit) == ("higher", 0.5, -0.01)
    assert metric.upper is not None
    assert metric.upper <= -0.01
    assert "50 % of 200" in found.reason
    assert "less than -1 point" in found.reason


def test_a_superior_version_has_to_be_better_not_only_as_good() -> None:
    better = template({**CORRECT, "goal": "superior"})
    _, found = looked(better, *[labels((500, 450), (500, 450))] * 4)
    assert found.phase is Phase.RUNNING
    _, found = looked(better, *[labels((500, 490), (500, 450))] * 4)
    assert found.phase is Phase.SUCCESSFUL


def test_a_limit_alone_needs_no_baseline() -> None:
    alone = template({"name": "errors", "kind": "error_rate", "compare": "none", "limit": 0.02})
    _, found = looked(alone, *[failures((300, 30), (0, 0))] * 2)
    assert found.phase is Phase.FAILED
    assert "above 2 %" in found.reason
    _, found = looked(alone, *[failures((300, 1), (0, 0))] * 4)
    assert found.phase is Phase.SUCCESSFUL


def test_first_responses_and_copies_of_requests_have_metrics_of_their_own() -> None:
    first = {"name": "first", "kind": "first_response_quantile", "compare": "none"}
    shadow = {"name": "same", "kind": "shadow_disagreement", "limit": 0.05}
    plan = template(
        {**first, "limit": "10ms", "unit": "request"},
        shadow,
        {**shadow, "name": "copies", "kind": "shadow_errors", "required": False},
    )
    half = ArmEvidence(first={20: 100}, shadow_errors=(50, 0), shadow_rows=(100, 20))
    _, found = looked(plan, Evidence(1, merged([half, half]), ArmEvidence()))
    assert [(each.phase, each.candidate.of) for each in found.metrics] == [
        (Phase.RUNNING, 200),
        (Phase.FAILED, 200),
        (Phase.SUCCESSFUL, 100),
    ]
    assert "above 5 %" in found.reason


def test_copies_are_held_against_the_requests_that_callers_sent() -> None:
    plan = read_template(dict(SHADOW_DOCUMENT))
    slow = {"name": "slow", "kind": "shadow_latency_quantile", "q": 0.9, "unit": "request"}
    slower = template({**slow, "marginRelative": 0.25})
    callers = ArmEvidence(10_000, 50, buckets={40: 9_000, 44: 1_000})
    alike = ArmEvidence(shadow={40: 1_800, 44: 200}, shadow_errors=(10_000, 50))
    _, found = looked(plan, Evidence(10, alike, callers))
    assert found.phase is Phase.SUCCESSFUL, found.reason
    worse = ArmEvidence(shadow={40: 1_000, 50: 1_000}, shadow_errors=(2_000, 80))
    state, _ = looked(slower, Evidence(10, alike, callers))
    _, late = looked(slower, Evidence(10, worse, callers), state=state)
    _, failing = looked(plan, Evidence(10, worse, callers))
    assert (late.phase, failing.phase) == (Phase.FAILED, Phase.FAILED)
    assert "errors" in failing.reason


def test_what_is_not_required_informs_and_decides_nothing() -> None:
    informed = template(ERRORS, {**CORRECT, "required": False})
    bad = Evidence(
        1,
        ArmEvidence(200, 2, feedback={"correct": (200, 0)}),
        ArmEvidence(200, 2, feedback={"correct": (200, 200)}),
    )
    _, found = looked(informed, bad)
    assert [each.phase for each in found.metrics] == [Phase.RUNNING, Phase.FAILED]
    assert found.phase is Phase.RUNNING


def test_alpha_is_divided_among_those_that_may_fail_the_run() -> None:
    three = template(ERRORS, {**CORRECT, "weight": 3}, {**CORRECT, "name": "m", "required": False})
    alphas = [three.alpha_of(metric) for metric in three.metrics]
    assert alphas == pytest.approx([0.0125, 0.0375, 0.05])
    _, found = looked(three, failures((10, 0), (10, 0)))
    assert [each.needed for each in found.metrics] == [80, pytest.approx(80 / 3), 20]


def test_a_fixed_alternative_is_caught_sooner_than_by_those_that_expect_anything() -> None:
    def looks(**more: Any) -> int:
        plan = template({**ERRORS, "margin": 0, **more})
        state, found = looked(plan, failures((50, 2), (50, 1)))
        while not found.phase.ended:
            state, found = looked(plan, failures((50, 2), (50, 1)), state=state)
        assert found.phase is Phase.FAILED
        return state.looks

    assert looks(alternative=0.02) < looks()


arm = st.integers(0, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@settings(max_examples=25)
@given(st.lists(st.tuples(arm, arm), min_size=1, max_size=8))
def test_bounds_only_close_in_and_splitting_a_look_over_servers_changes_nothing(
    found: list[tuple[tuple[int, int], tuple[int, int]]],
) -> None:
    plan = template()
    state = begin(plan)
    lower, upper = -1.0, 1.0
    for at, (candidate, baseline) in enumerate(found):
        half = tuple(n // 2 for n in candidate), tuple(n - n // 2 for n in candidate)
        both = merged(ArmEvidence(*part) for part in half)
        whole = look(plan, state, failures(candidate, baseline), NOW)
        split = look(plan, state, Evidence(1, both, ArmEvidence(*baseline)), NOW)
        assert whole[1] == split[1]
        state, seen = whole
        assert seen.number == at + 1
        metric = seen.metrics[0]
        assert metric.lower is None or metric.lower >= lower
        assert metric.upper is None or metric.upper <= upper
        lower, upper = metric.lower or lower, metric.upper if metric.upper is not None else upper
        if seen.phase.ended:
            return


def test_a_key_is_evidence_once_whatever_its_requests_do() -> None:
    keyed = template({**ERRORS, "unit": "key"})
    one_user = ArmEvidence(attempts=500, failures=500, keys=(1, 1))
    baseline = ArmEvidence(attempts=9500, failures=20, keys=(400, 1))
    state, found = looked(keyed, Evidence(1, one_user, baseline))
    assert found.phase is Phase.RUNNING, "one key is one piece of evidence"
    assert (found.metrics[0].unit, found.metrics[0].candidate.of) == ("sticky key", 1)
    many = ArmEvidence(attempts=500, failures=60, keys=(40, 12))
    _, found = looked(keyed, Evidence(1, many, baseline), state=state)
    assert found.phase is Phase.FAILED
    assert "candidate 31.7 % of 41, baseline 0.25 % of 800" in found.reason
    nothing = ArmEvidence(attempts=500, failures=500)
    _, found = looked(keyed, Evidence(1, nothing, nothing))
    assert "counted for the candidate so far: no sticky key" in found.reason


SURE = {"name": "sure", "kind": "confidence"}
TENTHS = {20: 10, 40: 30, 50: 30, 70: 30}
"""Of 100 answers how many there are in each bucket."""


def confident(candidate: dict[int, int], baseline: dict[int, int], times: int = 1) -> Evidence:
    """Answers of each arm within a second, by how sure they were."""
    arms = (
        ArmEvidence(confidence={bucket: times * n for bucket, n in answers.items()})
        for answers in (candidate, baseline)
    )
    return Evidence(1, *arms)


def test_a_version_that_knows_less_is_failed_and_one_that_knows_as_much_passes() -> None:
    unsure = {20: 30, 40: 30, 50: 30, 70: 10}
    _, found = looked(template(SURE), *[confident(unsure, TENTHS)] * 40)
    assert found.phase is Phase.FAILED
    assert (
        "candidate 70 % of 100 surer than the baseline's p10, baseline 90 % of 100" in found.reason
    ), "the look before only said where the tenth is"
    assert "less than -2 points" in found.reason
    _, found = looked(template(SURE), *[confident(TENTHS, TENTHS)] * 200)
    assert found.phase is Phase.SUCCESSFUL, found.reason
    assert "more than -2 points" in found.reason


def test_what_is_surer_is_only_noticed_where_that_is_asked() -> None:
    surer = {20: 10, 40: 10, 50: 10, 70: 70}
    evidence = [confident(surer, TENTHS)] * 200
    _, found = looked(template(SURE), *evidence)
    assert found.phase is Phase.SUCCESSFUL, found.reason
    _, found = looked(template({**SURE, "better": "lower", "q": 0.7}), *evidence)
    assert found.phase is Phase.FAILED
    _, found = looked(template({**SURE, "better": "same"}), *evidence)
    assert found.phase is Phase.FAILED
    assert found.reason.startswith("sure higher at p90: candidate 70 % of 100 surer")
    _, found = looked(template({**SURE, "better": "same"}), *[confident(TENTHS, TENTHS)] * 200)
    assert found.phase is Phase.SUCCESSFUL, found.reason


def test_a_level_needs_no_baseline() -> None:
    alone = template({**SURE, "level": 0.9, "compare": "none", "limit": 0.5})
    _, found = looked(alone, *[confident(TENTHS, {})] * 40)
    assert found.phase is Phase.FAILED
    assert "candidate 30 % of" in found.reason
    assert "surer than 90 %; shown to be below 50 %" in found.reason


def test_answers_that_are_no_probabilities_decide_nothing() -> None:
    nothing = [confident({0: 100}, {0: 100})] * 30
    _, found = looked(template(SURE), *nothing)
    assert found.phase is Phase.RUNNING
    _, found = looked(template(SURE), Evidence(1, ArmEvidence(), ArmEvidence()))
    assert "so far: no answer of which it could be read how sure it is" in found.reason

"""Shadows: copies of requests that nobody waits for and no caller ever notices."""

from __future__ import annotations

import numpy as np
import pytest

from tests.integration.backends.arms import (
    BOUNDLESS_RESCUE,
    WIDE_SIGNATURE,
    Stage,
    arm_name,
    version_of,
)
from tests.support.triton import eventually

PRIMARY_ONLY = [10_000, 0]
ALL = "shadow 1 parts 10000 max_in_flight 1000"
HANGING = {"v2.delay_ms": 1500, "v2.stubborn": True}
RISING = np.array([[1, 2, 3, 4]], np.float32)


def shadows(stage: Stage, endpoint: str, version: int = 2) -> dict[str, float]:
    counts = {
        outcome: stage.metric("shadow_requests_total", endpoint, version, outcome=outcome)
        for outcome in ("ok", "error", "dropped")
    }
    return {outcome: count for outcome, count in counts.items() if count}


def expect(stage: Stage, endpoint: str, expected: dict[str, float]) -> None:
    try:
        eventually(lambda: shadows(stage, endpoint) == expected, within_s=5)
    except AssertionError:
        assert shadows(stage, endpoint) == expected


def rows(stage: Stage, endpoint: str) -> tuple[float, float]:
    """How many rows had their largest value in the same place, and how many elsewhere."""
    same, other = (
        stage.metric("shadow_rows_total", endpoint, 2, top1=where) for where in ("same", "other")
    )
    return same, other


def test_every_request_is_copied_and_only_the_primary_answers(stage: Stage) -> None:
    stage.endpoint("all", PRIMARY_ONLY, ALL)
    for _ in range(50):
        for ask in (stage.ask, stage.ask_http):
            answer = ask("all")
            assert version_of(answer) == 1
            assert answer.as_numpy("y").tolist() == [[1.0] * 4]
    expect(stage, "all", {"ok": 100})
    # A shadow is no attempt to answer a request.
    stage.expect("all", {"v1 ok": 100})
    assert stage.metric("request_duration_us_count", "all", 2) == 0
    assert stage.metric("shadow_duration_us_count", "all", 2) == 100
    assert stage.metric("shadow_duration_us_sum", "all", 2) > 0
    copied = [name for name in stage.server.metrics() if name.startswith("nereid_shadow_duration")]
    assert not [name for name in copied if arm_name("all", 1) in name], "none where none is copied"


def test_a_sample_is_spread_evenly(stage: Stage) -> None:
    stage.endpoint("sampled", PRIMARY_ONLY, "shadow 1 parts 2500 max_in_flight 1000")
    stage.arms("sampled", 400)
    eventually(lambda: 97 <= shadows(stage, "sampled").get("ok", 0) <= 103)


def test_a_sample_of_nothing_copies_nothing(stage: Stage) -> None:
    stage.endpoint("none", PRIMARY_ONLY, "shadow 1 parts 0 max_in_flight 1000")
    stage.arms("none", 50)
    assert shadows(stage, "none") == {}


def test_the_copy_is_the_request(stage: Stage) -> None:
    stage.endpoint("copied", PRIMARY_ONLY, f"{ALL} compare y")
    value = np.random.default_rng(3).random((8, 4), np.float32)
    stage.ask("copied", x=value)  # 2x beside x: the difference is the input
    expect(stage, "copied", {"ok": 1})
    eventually(lambda: stage.metric("shadow_difference_count", "copied", 2) == 1)
    total = stage.metric("shadow_difference_sum", "copied", 2)
    assert total == pytest.approx(float(value.max()), rel=1e-6)


def test_a_known_difference_is_measured(stage: Stage) -> None:
    stage.endpoint("compared", PRIMARY_ONLY, f"{ALL} compare y")
    for _ in range(10):
        stage.ask("compared", {"v2.add": 5}, x=RISING)  # 2x + 5 beside x: at most 4 + 5
    eventually(lambda: stage.metric("shadow_difference_count", "compared", 2) == 10)
    assert stage.metric("shadow_difference_sum", "compared", 2) == 90
    # Buckets are powers of ten.
    assert stage.metric("shadow_difference_bucket", "compared", 2, le="1") == 0
    assert rows(stage, "compared") == (10, 0)


def test_rows_whose_best_class_differs_are_counted(stage: Stage) -> None:
    stage.endpoint("top", PRIMARY_ONLY, f"{ALL} compare y")
    batch = np.array([[1, 2, 3, 4], [4, 3, 2, 1], [1, 9, 1, 1]], np.float32)
    stage.ask("top", x=batch)
    eventually(lambda: rows(stage, "top") == (3, 0))
    stage.ask("top", {"v2.reverse": True}, x=batch)
    eventually(lambda: rows(stage, "top") == (3, 3))


def test_nothing_is_compared_where_one_side_failed(stage: Stage) -> None:
    stage.endpoint("half", PRIMARY_ONLY, f"{ALL} compare y")
    stage.ask("half", {"v2.fail": "INTERNAL"})
    stage.refusal("half", {"v1.fail": "INTERNAL"})
    expect(stage, "half", {"ok": 1, "error": 1})
    stage.ask("half")
    eventually(lambda: stage.metric("shadow_difference_count", "half", 2) == 1)


def test_an_output_that_is_not_there_is_not_compared(stage: Stage) -> None:
    stage.endpoint("nameless", PRIMARY_ONLY, f"{ALL} compare z")
    stage.arms("nameless", 5)
    expect(stage, "nameless", {"ok": 5})
    assert stage.metric("shadow_difference_count", "nameless", 2) == 0


@pytest.mark.parametrize("code", ["INTERNAL", "INVALID_ARG", "UNAVAILABLE", "CANCELLED"])
def test_a_shadow_that_fails_is_invisible(stage: Stage, code: str) -> None:
    endpoint = f"failing-{code.lower()}".replace("_", "-")
    breaker = (
        "breaker consecutive 1 rate 0 min_requests 1 window_us 10000000 "
        "open_us 10000000 max_open_us 10000000"
    )
    stage.endpoint(endpoint, PRIMARY_ONLY, ALL, breaker, BOUNDLESS_RESCUE)
    assert stage.arms(endpoint, 20, {"v2.fail": code}) == {1: 20}
    expect(stage, endpoint, {"error": 20})
    stage.expect(endpoint, {"v1 ok": 20})


def test_a_shadow_arm_that_is_not_loaded_is_invisible(stage: Stage) -> None:
    stage.endpoint("missing", PRIMARY_ONLY, ALL, absent=[2])
    assert stage.arms("missing", 20) == {1: 20}
    expect(stage, "missing", {"error": 20})


def test_a_hanging_shadow_delays_nobody_and_the_rest_are_dropped(stage: Stage) -> None:
    stage.endpoint("hanging", PRIMARY_ONLY, "shadow 1 parts 10000 max_in_flight 3")
    clock = stage.clock()
    assert stage.arms("hanging", 50, HANGING) == {1: 50}
    assert clock() < 1.4, "the answers waited for a shadow"
    assert shadows(stage, "hanging") == {"dropped": 47}
    assert stage.in_flight("hanging", 2) == 3
    assert stage.in_flight("hanging", 1) == 0
    expect(stage, "hanging", {"dropped": 47, "ok": 3})
    assert stage.in_flight("hanging", 2) == 0
    stage.ask("hanging")  # there is room again
    expect(stage, "hanging", {"dropped": 47, "ok": 4})


def test_the_bound_holds_under_concurrency(stage: Stage) -> None:
    stage.endpoint("crowded", PRIMARY_ONLY, "shadow 1 parts 10000 max_in_flight 2")
    stage.at_once(8, lambda _: stage.arms("crowded", 5, {"v2.delay_ms": 1000}))
    assert stage.in_flight("crowded", 2) == 2
    expect(stage, "crowded", {"dropped": 38, "ok": 2})


def test_a_shadow_takes_no_place_of_the_arms_own_requests(stage: Stage) -> None:
    words = {2: "max_in_flight 1 overflow reject"}
    stage.endpoint("places", PRIMARY_ONLY, "rule 1 parameter to equals two", ALL, words=words)
    stage.ask("places", HANGING)
    eventually(lambda: stage.in_flight("places", 2) == 1)
    assert version_of(stage.ask("places", {"to": "two"})) == 2


def test_who_answers_casts_no_shadow_on_itself(stage: Stage) -> None:
    stage.endpoint("itself", [5000, 5000], ALL)
    answered = stage.arms("itself", 100)
    expect(stage, "itself", {"ok": answered[1]})


def test_several_shadows_of_one_request(stage: Stage) -> None:
    both = (ALL, "shadow 2 parts 10000 max_in_flight 1000 compare y")
    stage.endpoint("several", [10_000, 0, 0], *both)
    assert stage.arms("several", 20) == {1: 20}
    expect(stage, "several", {"ok": 20})
    eventually(lambda: shadows(stage, "several", 3) == {"ok": 20})
    eventually(lambda: stage.metric("shadow_difference_sum", "several", 3) == 40)


def test_a_sequence_casts_no_shadow(stage: Stage) -> None:
    stage.endpoint("row", PRIMARY_ONLY, ALL)
    stage.ask("row", sequence_id=3, sequence_start=True)
    stage.ask("row", sequence_id=3, sequence_end=True)
    stage.ask("row")
    expect(stage, "row", {"ok": 1})


def test_a_pinned_version_casts_no_shadow(stage: Stage) -> None:
    stage.endpoint("numbered", PRIMARY_ONLY, ALL)
    stage.arms("numbered", 10, model_version="1")
    stage.ask("numbered")
    expect(stage, "numbered", {"ok": 1})


def test_a_rescued_request_is_compared_to_what_the_caller_got(stage: Stage) -> None:
    shadow = "shadow 2 parts 10000 max_in_flight 1000 compare y"
    stage.endpoint("rescued", [0, 10_000, 0], shadow, BOUNDLESS_RESCUE)
    assert stage.arms("rescued", 10, {"v2.fail": "INTERNAL"}) == {1: 10}
    eventually(lambda: stage.metric("shadow_difference_sum", "rescued", 3) == 20)  # 3 - 1


@pytest.mark.parametrize(("protocol", "width"), [("json", 32), ("http", 50_000), ("grpc", 50_000)])
def test_the_copy_is_whole_though_the_caller_has_its_answer(
    stage: Stage, protocol: str, width: int
) -> None:
    wide = f"wide-{protocol}"
    stage.endpoint(wide, PRIMARY_ONLY, f"{ALL} compare y", signature=WIDE_SIGNATURE)
    # A frontend may free a request's inputs as soon as it has sent the answer.
    value = np.arange(width, dtype=np.float32)
    body = {"inputs": [{"name": "x", "shape": [width], "datatype": "FP32", "data": value.tolist()}]}
    for _ in range(40):
        if protocol == "json":
            assert stage.server.call(f"/v2/models/{wide}/infer", body)[0] == 200
        else:
            (stage.ask if protocol == "grpc" else stage.ask_http)(wide, x=value)
    wanted = 40 * (width - 1)  # 2x beside x
    try:
        eventually(lambda: stage.metric("shadow_difference_sum", wide, 2) == wanted, within_s=3)
    except AssertionError:
        assert stage.metric("shadow_difference_sum", wide, 2) == wanted


def test_the_router_may_be_reloaded_with_shadows_in_flight(stage: Stage) -> None:
    stage.endpoint("reloaded", PRIMARY_ONLY, f"{ALL} compare y")
    stage.arms("reloaded", 5, HANGING)
    stage.route("reloaded", PRIMARY_ONLY)
    assert stage.in_flight("reloaded", 2) == 5
    assert stage.arms("reloaded", 5) == {1: 5}
    expect(stage, "reloaded", {"ok": 5})
    eventually(lambda: stage.metric("shadow_difference_count", "reloaded", 2) == 5)
    assert stage.in_flight("reloaded", 2) == 0


def test_the_router_may_be_unloaded_with_shadows_in_flight(stage: Stage) -> None:
    stage.endpoint("unloaded", PRIMARY_ONLY, f"{ALL} compare y")
    stage.arms("unloaded", 5, HANGING)
    clock = stage.clock()
    stage.server.unload("unloaded")
    stage.server.unload(arm_name("unloaded", 1))
    eventually(lambda: not stage.client.is_model_ready("unloaded"))
    assert clock() < 1.4, "the unload waited for a shadow"
    expect(stage, "unloaded", {"ok": 5})
    assert stage.in_flight("unloaded") == 0

"""`POST /endpoints/{name}/feedback/`: what callers say of answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from control_plane import wiring
from control_plane.endpoints.models import Revision
from control_plane.telemetry.feedback import WAIT, Report
from control_plane.telemetry.store import TelemetryStore
from tests.integration.api.conftest import Api
from tests.integration.api.test_endpoints_api import Weights, served
from tests.integration.api.test_registry_api import problem

FEEDBACK = "endpoints/digits/feedback/"


@pytest.fixture
def serving(digits: Api, weights: Weights, telemetry: TelemetryStore) -> Api:
    """`digits` with two arms, named `digits-v1` and `digits-v2`."""
    digits.put_policy("digits", weights(90, 10))
    served()
    return digits


def physical(version: int) -> str:
    plan = Revision.objects.order_by("-number")[0].plan
    return str(next(arm["physical"] for arm in plan["arms"] if arm["version"] == version))


def shown(api: Api) -> dict[tuple[str, str], tuple[int, int]]:
    rows = api.get(FEEDBACK).json()["results"]
    return {(row["arm"], row["outcome"]): (row["count"], row["of"]) for row in rows}


def test_of_an_arm_by_either_of_its_names(serving: Api) -> None:
    said = {"outcome": "correct", "count": 95, "of": 100}
    answer = serving.post(FEEDBACK, {"arm": "digits-v2", **said})
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert (body["counted"], body["waiting"], body["repeated"]) == (1, 0, 0)
    assert serving.post(FEEDBACK, {"arm": physical(2), **said}).status_code == 200
    serving.post(FEEDBACK, {"arm": "digits-v1", "outcome": "correct", "value": 0})
    assert shown(serving) == {
        (physical(2), "correct"): (190, 200),
        (physical(1), "correct"): (0, 1),
    }


def test_an_arm_that_has_left_is_still_known_by_its_physical_name(
    serving: Api, weights: Weights
) -> None:
    old = physical(2)
    serving.put_policy("digits", weights(100))
    served()
    said = {"outcome": "correct", "value": 1}
    assert serving.post(FEEDBACK, {"arm": old, **said}).status_code == 200
    assert problem(serving.post(FEEDBACK, {"arm": "digits-v2", **said}), 400) == {
        "/arm": "unknown_arm"
    }


def test_of_a_request_it_waits_for_its_arm_and_counts_once(
    serving: Api, telemetry: TelemetryStore
) -> None:
    said = {"request_id": "r-1", "outcome": "correct", "value": 1}
    answer = serving.post(FEEDBACK, [said, {**said, "outcome": "sold"}])
    assert answer.status_code == 202
    assert answer.json()["waiting"] == 2
    assert serving.post(FEEDBACK, said).json()["repeated"] == 1
    telemetry.feedback_answered("digits", {"r-1": physical(2)}, wiring.clock().now())
    assert shown(serving) == {(physical(2), "correct"): (1, 1), (physical(2), "sold"): (1, 1)}
    body = serving.get(FEEDBACK).json()
    assert (body["waiting"], body["unresolved"]) == (0, 0)


def test_what_nobody_knew_is_shown(serving: Api, telemetry: TelemetryStore) -> None:
    long_ago = wiring.clock().now() - WAIT - timedelta(minutes=1)
    telemetry.write_feedback("digits", [Report("correct", 1, 1, None, "r-2")], long_ago)
    serving.post(FEEDBACK, {"request_id": "r-3", "outcome": "correct", "value": 1})
    since = (long_ago - timedelta(minutes=1)).isoformat().replace("+00:00", "Z")
    body = serving.get(f"{FEEDBACK}?since={since}").json()
    assert (body["waiting"], body["unresolved"]) == (1, 1)


def test_with_request_and_arm_there_is_nothing_to_wait_for(serving: Api) -> None:
    said = {"request_id": "r-4", "arm": physical(1), "outcome": "correct", "value": 0}
    assert serving.post(FEEDBACK, said).json()["counted"] == 1
    assert serving.post(FEEDBACK, said).json()["repeated"] == 1


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"outcome": "correct", "value": 1}, {"": "invalid"}),
        ({"request_id": "r", "value": 1}, {"/outcome": "required"}),
        ({"request_id": "r", "outcome": "correct"}, {"": "invalid"}),
        ({"request_id": "r", "outcome": "Not a word", "value": 1}, {"/outcome": "invalid"}),
        ({"request_id": "r", "outcome": "correct", "value": 2}, {"/value": "max_value"}),
        ({"request_id": "r", "outcome": "correct", "value": True}, {"/value": "invalid"}),
        ({"request_id": "r" * 257, "outcome": "x", "value": 1}, {"/request_id": "max_length"}),
        ({"request_id": "a\u202eb", "outcome": "x", "value": 1}, {"/request_id": "invalid"}),
        ({"request_id": "", "outcome": "x", "value": 1}, {"/request_id": "blank"}),
        ({"request_id": "r", "outcome": "x", "count": 1, "of": 1}, {"": "invalid"}),
        ({"arm": "digits-v1", "outcome": "x", "count": 2, "of": 1}, {"/count": "invalid"}),
        ({"arm": "digits-v1", "outcome": "x", "count": 1}, {"": "invalid"}),
        ({"arm": "digits-v1", "outcome": "x", "count": 0, "of": 0}, {"/of": "min_value"}),
        ({"arm": "other", "outcome": "x", "value": 1}, {"/arm": "unknown_arm"}),
        ({"arm": "digits-v1", "outcome": "x", "valeu": 1}, {"/valeu": "unknown"}),
        ([], {"": "length"}),
        ([{"request_id": "r", "outcome": "x", "value": 1}] * 1001, {"": "length"}),
        ([{"request_id": "r", "outcome": "x", "value": 1}, 7], {"/1": "type"}),
        (
            [{"request_id": "r", "outcome": "x", "value": 1}, {"value": 1}],
            {"/1/outcome": "required"},
        ),
    ],
)
def test_what_is_no_report_is_refused_and_nothing_kept(
    serving: Api, body: Any, pointers: dict[str, str]
) -> None:
    assert problem(serving.post(FEEDBACK, body), 400) == pointers
    assert (shown(serving), serving.get(FEEDBACK).json()["waiting"]) == ({}, 0)


def test_there_has_to_be_such_an_endpoint(serving: Api) -> None:
    said = {"request_id": "r", "outcome": "correct", "value": 1}
    problem(serving.post("endpoints/nothing/feedback/", said), 404)
    problem(serving.get("endpoints/nothing/feedback/"), 404)

"""Which arm answered a request, known afterwards by the request's id."""

from __future__ import annotations

from control_plane.adapters.request_log import RequestLog
from tests.integration.backends.arms import BOUNDLESS_RESCUE, Stage, arm_name, version_of
from tests.support.triton import eventually

EVEN = [5_000, 5_000]


def known(stage: Stage, endpoint: str, requests: list[str]) -> dict[str, str]:
    return RequestLog(stage.server.options.request_log).arms_of(endpoint, requests)


def test_every_answer_is_known_by_its_requests_id(stage: Stage) -> None:
    stage.endpoint("remembers", EVEN)
    said = {}
    for i in range(20):
        ask = stage.ask if i % 2 else stage.ask_http
        said[f"r-{i}"] = arm_name("remembers", version_of(ask("remembers", request_id=f"r-{i}")))
    assert len(set(said.values())) == 2
    eventually(lambda: known(stage, "remembers", list(said)) == said)
    assert known(stage, "another", list(said)) == {}


def test_who_answered_counts_and_not_who_was_asked_first(stage: Stage) -> None:
    stage.endpoint("saved", [0, 10_000], BOUNDLESS_RESCUE)
    stage.ask("saved", {"v2.fail": "INTERNAL"}, request_id="saved")
    stage.refusal("saved", {"fail": "INVALID_ARG"}, request_id="refused")
    stage.ask("saved", request_id="well", model_version="2")
    expected = {"saved": arm_name("saved", 1), "well": arm_name("saved", 2)}
    eventually(lambda: known(stage, "saved", ["saved", "refused", "well"]) == expected)

"""Overrides over the API: of a version at its push, of an arm in its policy, and what comes out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from control_plane import wiring
from control_plane.api.policy_resource import PlanSerializer
from control_plane.audit.models import AuditEvent
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.preview import effect
from control_plane.endpoints.selectors import latest_plan
from control_plane.registry.models import ModelVersion
from control_plane.registry.profile_edits import put_profile
from tests.integration.api.conftest import SAMPLES, Api
from tests.integration.api.test_registry_api import problem

MODEL = SAMPLES / "v1" / "model.onnx"


def with_arm(policy: dict[str, Any], **overrides: Any) -> dict[str, Any]:
    policy["arms"][-1]["overrides"] = overrides
    return policy


def pointers(answer: Any) -> list[str]:
    return [error["pointer"] for error in answer.json()["errors"]]


def test_an_arm_says_otherwise_and_the_plan_says_what_comes_out(
    digits: Api, weights: Callable[..., dict[str, Any]]
) -> None:
    policy = with_arm(weights(90, 10), max_batch_size=4)
    planned = digits.post("endpoints/digits/plan/", policy).json()
    [first, second] = planned["serving"]
    assert first["of_arm"] == first["of_version"] == {}
    assert second["of_arm"] == {"max_batch_size": 4}
    assert second["effective"] == {**first["effective"], "max_batch_size": 4}
    assert second["physical"] in planned["loads"]
    accepted = digits.put_policy("digits", policy)
    assert accepted.status_code == 202, accepted.content
    assert accepted.json()["policy"]["arms"][1]["overrides"] == {"max_batch_size": 4}
    plan = latest_plan(Endpoint.objects.get())
    assert plan
    assert plan.models[1].variants["cpu"]["max_batch_size"] == 4


def test_the_linter_looks_at_what_comes_out(
    digits: Api, weights: Callable[..., dict[str, Any]]
) -> None:
    batching = {"default_queue_policy": {"default_timeout_microseconds": 9000}}
    policy = with_arm(weights(90, 10), dynamic_batching=batching)
    found = digits.post("endpoints/digits/plan/", policy).json()["findings"]
    [stall] = [one for one in found if one["code"] == "queue-timeout-stall"]
    assert stall["pointer"] == "/arms/1"


@pytest.mark.parametrize(
    ("overrides", "pointer"),
    [
        ({"max_batch": 4}, "/arms/1/overrides/max_batch"),
        ({"parameters": {"libraries": "x"}}, "/arms/1/overrides/parameters/libraries"),
        ("max_batch_size=4", "/arms/1/overrides"),
    ],
)
def test_what_does_not_fit_is_refused_at_its_place(
    digits: Api, weights: Callable[..., dict[str, Any]], overrides: Any, pointer: str
) -> None:
    policy = weights(90, 10)
    policy["arms"][1]["overrides"] = overrides
    answer = digits.post("endpoints/digits/plan/", policy)
    problem(answer, 400)
    assert pointers(answer) == [pointer]


def test_an_export_has_what_an_arm_says(
    digits: Api, weights: Callable[..., dict[str, Any]]
) -> None:
    digits.put_policy("digits", with_arm(weights(90, 10), max_batch_size=4))
    path, arm = "models/digits/versions/2/export/", "endpoint=digits&arm=digits-v2"
    assert digits.get(f"{path}?{arm}").json()["config"]["max_batch_size"] == 4
    assert digits.get(path).json()["config"]["max_batch_size"] != 4
    for absent in ("endpoint=digits&arm=digits-v1", "endpoint=no&arm=digits-v2", "endpoint=%00"):
        problem(digits.get(f"{path}?{absent}"), 404)


def test_a_version_keeps_its_own(digits: Api, weights: Callable[..., dict[str, Any]]) -> None:
    put_profile(name="mine", document={"max_batch_size": 8}, actor="ada")
    said = {"profile": "mine", "overrides": {"instance_group": [{"count": 2}]}}
    pushed = digits.upload("digits", MODEL, said)
    assert pushed.status_code == 202, pushed.content
    assert pushed.json()["overrides"] == said["overrides"]
    created = AuditEvent.objects.filter(action="version.create").latest("id")
    assert created.after["overrides"] == said["overrides"]
    ModelVersion.objects.filter(number=3).update(state="ready")
    policy = {"arms": [{"model": "digits", "version": 3, "weight": 100, "overrides": {}}]}
    policy["arms"][0]["overrides"] = {"max_batch_size": 4}
    [serving] = digits.post("endpoints/digits/plan/", policy).json()["serving"]
    assert (serving["profile"], serving["revision"]) == ("mine", 1)
    assert (serving["of_version"], serving["of_arm"]) == (said["overrides"], {"max_batch_size": 4})
    assert serving["effective"] == {"max_batch_size": 4, "instance_group": [{"count": 2}]}
    # The profile is changed into one that they do not fit: nothing new is compiled with it.
    document = {"max_batch_size": 8, "model_warmup": {"batch_sizes": [8]}}
    put_profile(name="mine", document=document, actor="ada")
    refused = digits.post("endpoints/digits/plan/", policy)
    problem(refused, 400)
    assert pointers(refused) == ["/arms/0/overrides/model_warmup/batch_sizes/0"]


def test_a_push_with_overrides_that_do_not_fit_is_refused(digits: Api) -> None:
    refused = digits.upload("digits", MODEL, {"overrides": {"max_batch_size": "many"}})
    problem(refused, 400)
    assert pointers(refused) == ["/overrides/max_batch_size"]
    problem(digits.upload("digits", MODEL, {"overrides": [1]}), 400)
    assert ModelVersion.objects.count() == 2


def test_what_was_asked_for_before_there_were_overrides_is_still_shown(
    digits: Api, weights: Callable[..., dict[str, Any]]
) -> None:
    digits.put_policy("digits", weights(100))
    plan = latest_plan(Endpoint.objects.get())
    assert plan
    shown = dataclasses.asdict(effect(Endpoint.objects.get(), plan, wiring.print_config))
    del shown["serving"]

    assert "serving" not in PlanSerializer(shown).data

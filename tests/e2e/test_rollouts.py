"""Rollouts on the running stack: a good version goes through, one that fails is taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from control_plane.telemetry.outcomes import FAILED
from nereid import Client
from stack.settings import CHECKOUT
from tests.support.callers import Callers
from tests.support.processes import eventually
from tests.support.serving import ServingStack, samples
from tests.support.trapped import trapped


def start(stack: ServingStack, version: int, **more: Any) -> str:
    """Starts a quick rollout of that version; returns its id."""
    steps = [{"setWeight": 30}, {"analysis": {}}]
    document = {
        "endpoint": "digits",
        "to": {"model": "digits", "version": version},
        "strategy": {"canary": {"steps": steps}},
        "watch": "3s",
        **more,
    }
    with stack.client() as client:
        answer = client.post("/rollouts/", json=document)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


def ended(stack: ServingStack, rollout: str) -> dict[str, Any]:
    """The rollout once it is over."""
    found: list[dict[str, Any]] = []

    def is_over() -> bool:
        with stack.client() as client:
            found.append(client.get(f"/rollouts/{rollout}/").json())
        return bool(found[-1]["finished_at"])

    assert eventually(is_over, 120), (found[-1]["state"], found[-1]["reason"], found[-1])
    return found[-1]


def harmed(stack: ServingStack, version: int) -> int:
    """The attempts that this version failed, as its router counted them."""
    return sum(
        int(sample.value)
        for sample in samples(stack)
        if sample.name == "nereid_requests_total"
        and sample.labels["arm"].startswith(f"digits.v{version}.")
        and sample.labels["outcome"] in FAILED
    )


@pytest.fixture
def one_arm(serving_stack: ServingStack) -> Iterator[ServingStack]:
    """The stack with everything on version 1, and as it was afterwards."""
    with Client(serving_stack.api, serving_stack.token) as client:
        before = client.policy("digits")
        arms = [{"name": "stable", "model": "digits", "version": 1, "weight": 100}]
        accepted = client.put_policy("digits", {"arms": arms}, etag="*")
        client.wait_endpoint("digits", generation=accepted.generation)
        yield serving_stack
        accepted = client.put_policy("digits", before.document, etag="*")
        client.wait_endpoint("digits", generation=accepted.generation)


def test_a_good_version_is_promoted_and_one_that_fails_is_taken_back(
    one_arm: ServingStack, tmp_path: Path
) -> None:
    stack, grpc = one_arm, one_arm.stack["triton"]["grpc"]
    with Callers(grpc).calling() as callers:
        good = ended(stack, start(stack, 2))
    assert good["state"] == "promoted", good["reason"]
    assert callers.errors == []
    with Client(stack.api, stack.token) as client:
        [arm] = client.policy("digits").document["arms"]
        assert (arm["name"], arm["version"]) == ("stable", 2)
        source = CHECKOUT / "model_repository/samples/digits/v2/model.onnx"
        pushed = client.push("digits", trapped(source, tmp_path / "model.onnx"))
        client.wait_version_ready("digits", pushed.number)
    with Callers(grpc, marked=10).calling() as callers:
        bad = ended(stack, start(stack, pushed.number, harmBudget={"failedRequests": 60}))
    assert bad["state"] == "rolledBack", bad["reason"]
    assert callers.errors == [], "what the candidate failed the primary answered"
    assert callers.answered[f"v{pushed.number}"] > 0
    assert 0 < harmed(stack, pushed.number) <= 60
    with Client(stack.api, stack.token) as client:
        [arm] = client.policy("digits").document["arms"]
        assert (arm["name"], arm["version"]) == ("stable", 2)

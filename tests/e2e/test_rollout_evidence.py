"""Rollouts decided by whose requests failed, and by what another system counts of the answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nereid import Client
from stack.settings import CHECKOUT
from tests.e2e.test_rollouts import ended, start
from tests.support.prometheus import INSTALLED, prometheus_running
from tests.support.serving import ServingStack
from tests.support.shoppers import HEADER, VISIT, Shoppers
from tests.support.trapped import trapped

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

SHOP = "shop"
POLICY = {
    "arms": [{"name": "stable", "model": "digits", "version": 1, "weight": 100}],
    "sticky": {"key": f"header:{HEADER}"},
    # One shopper's requests fail in a row: that is no reason to shut anything.
    "breaker": None,
    "rescue": {"enabled": True, "budget_percent": 50},
}
TEMPLATES: dict[str, dict[str, Any]] = {
    "by-shoppers": {
        "metrics": [{"name": "errors", "kind": "error_rate", "unit": "key", "margin": 0.03}]
    },
    "by-refunds": {
        "metrics": [
            {
                "name": "refunds",
                "kind": "promql",
                "of": 'shop_orders_total{version="{{version}}"}',
                "count": 'shop_refunds_total{version="{{version}}"}',
                "unit": "request",
                "margin": 0.05,
            }
        ]
    },
}


@pytest.fixture(scope="module")
def endpoint(serving_stack: ServingStack) -> Iterator[Client]:
    """An endpoint of its own, and the templates that its rollouts are measured by."""
    with Client(serving_stack.api, serving_stack.token) as client:
        for name, document in TEMPLATES.items():
            client.put_analysis_template(name, document)
        client.ensure_endpoint(SHOP)
        yield client
        client.delete_endpoint(SHOP)


@pytest.fixture
def shop(serving_stack: ServingStack, endpoint: Client) -> ServingStack:
    """The stack, with each shopper on one arm of the endpoint, and all of them on version 1."""
    accepted = endpoint.put_policy(SHOP, POLICY, etag="*")
    endpoint.wait_endpoint(SHOP, generation=accepted.generation)
    return serving_stack


def rolled_out(stack: ServingStack, version: int, template: str) -> dict[str, Any]:
    """The end of a rollout of that version, measured with 40 % of the shoppers."""
    steps = [{"setWeight": 40}, {"analysis": {"template": template}}]
    rollout = start(
        stack,
        version,
        endpoint=SHOP,
        strategy={"canary": {"steps": steps, "analysis": {"template": template}}},
        harmBudget={"failedRequests": 500},
        watch="0s",
    )
    return ended(stack, rollout)


def last_look(rollout: dict[str, Any]) -> dict[str, Any]:
    """What the last look at the rollout's only metric found."""
    [metric] = rollout["runs"][-1]["look"]["metrics"]
    found: dict[str, Any] = metric
    return found


def serves(stack: ServingStack) -> int:
    with Client(stack.api, stack.token) as client:
        [arm] = client.policy(SHOP).document["arms"]
        return int(arm["version"])


def test_each_shopper_is_one_piece_of_evidence(shop: ServingStack, tmp_path: Path) -> None:
    grpc = shop.stack["triton"]["grpc"]
    with Shoppers(grpc, SHOP, trapped=20).coming() as shoppers:
        good = rolled_out(shop, 2, "by-shoppers")
    assert (good["state"], serves(shop)) == ("promoted", 2), good["reason"]
    assert shoppers.errors == []
    found = last_look(good)
    assert (found["unit"], found["phase"]) == ("sticky key", "Successful")
    assert found["candidate"]["of"] < shoppers.orders["2"] / 2, "a shopper speaks once"

    with Client(shop.api, shop.token) as client:
        source = CHECKOUT / "model_repository/samples/digits/v2/model.onnx"
        pushed = client.push("digits", trapped(source, tmp_path / "model.onnx"), wait=True)
    with Shoppers(grpc, SHOP, trapped=20).coming() as shoppers:
        bad = rolled_out(shop, pushed.number, "by-shoppers")
    assert (bad["state"], serves(shop)) == ("rolledBack", 2), bad["reason"]
    assert shoppers.errors == [], "what the candidate failed the old version answered"
    found = last_look(bad)
    assert (found["unit"], found["phase"]) == ("sticky key", "Failed")
    # All of a trapped shopper's requests fail, and they are one failure.
    assert 0 < found["candidate"]["count"] <= bad["harm"]["spent"] / (VISIT / 2)


@pytest.mark.skipif(not INSTALLED, reason="no prometheus: tests/support/install_prometheus.sh")
def test_what_a_shop_counts_decides_by_a_real_prometheus(
    shop: ServingStack, tmp_path: Path
) -> None:
    """Version 1 reads six of the sixteen pictures wrongly, version 2 none: both answer all."""
    shoppers = Shoppers(shop.stack["triton"]["grpc"], SHOP)
    prometheus = prometheus_running(tmp_path, port=shop.prometheus_port, page=shoppers.page)
    with prometheus, shoppers.coming():
        good = rolled_out(shop, 2, "by-refunds")
        assert (good["state"], serves(shop)) == ("promoted", 2), good["reason"]
        bad = rolled_out(shop, 1, "by-refunds")
    assert (bad["state"], serves(shop)) == ("rolledBack", 2), bad["reason"]
    assert shoppers.errors == []
    better, worse = last_look(good), last_look(bad)
    assert (better["phase"], worse["phase"]) == ("Successful", "Failed")
    for look, candidate, baseline in ((better, "2", "1"), (worse, "1", "2")):
        for arm, version in (("candidate", candidate), ("baseline", baseline)):
            assert 0 < look[arm]["of"] <= shoppers.orders[version]
            assert look[arm]["count"] <= shoppers.refunds[version]
    assert worse["candidate"]["count"] > 0

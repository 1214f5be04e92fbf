"""Candidates with one thing different, on the running stack: each rollout ends as it has to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nereid import Client
from perf.rollbacks import NAME, SCENARIOS, Bench, Scenario
from tests.support.serving import ServingStack

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def bench(serving_stack: ServingStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Client(serving_stack.api, serving_stack.token) as client:
        grpc = serving_stack.stack["triton"]["grpc"]
        yield Bench(client, grpc, tmp_path_factory.mktemp("marked"))
        client.delete_endpoint(NAME)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_it_is_promoted_or_taken_back_and_no_caller_notices(
    bench: Bench, scenario: Scenario
) -> None:
    outcome = bench.play(scenario)
    assert outcome.state == scenario.state, outcome.reason
    assert outcome.failures == 0, "what the candidate failed the old version answered"
    assert outcome.met > 0
    assert outcome.harmed <= outcome.budget

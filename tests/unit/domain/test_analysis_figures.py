"""What `perf.analysis` measures, in small; whole in `make test-long`."""

from __future__ import annotations

import numpy as np
import pytest

from perf.analysis import (
    ALPHAS,
    KINDS,
    STREAMS,
    FalseRollbacks,
    Kind,
    Stream,
    detection,
    false_rollbacks,
)
from perf.canary_peers import high

INDEPENDENT, SHARED, OWN = STREAMS


def within_alpha(found: FalseRollbacks) -> None:
    """Blocks hold on every stream, requests where the arms are alike at each moment."""
    for alpha, request, block in zip(ALPHAS, found.by_request, found.by_block, strict=True):
        assert block <= found.allowed(alpha), found
        if found.stream != OWN.name:
            assert request <= found.allowed(alpha), found


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[-1]], ids=lambda kind: kind.name)
def test_a_a_rollouts_are_rolled_back_no_more_often_than_alpha(kind: Kind) -> None:
    found = false_rollbacks(kind, INDEPENDENT, runs=400, count=60)
    within_alpha(found)
    assert found.by_request[0] > 0  # else the runs are too short to show anything
    assert all(
        peeked > found.allowed(alpha) for peeked, alpha in zip(found.peeked, ALPHAS, strict=True)
    )


def test_bursts_of_one_arm_are_no_evidence_to_blocks() -> None:
    found = false_rollbacks(KINDS[0], OWN, runs=400, count=100)
    within_alpha(found)
    assert found.by_request[0] > found.allowed(0.05)  # what blocks are there for


def test_five_times_the_failures_cost_less_than_twice_what_the_best_test_needs() -> None:
    found = {each.judge: each for each in detection("x5", Kind("errors", 0.01), 0.05, 80, 100)}
    ours, limit = found["request"], found["SPRT that knows the rates"]
    assert ours.caught > 0.99
    assert ours.requests is not None
    assert limit.requests is not None
    assert ours.requests < 2 * limit.requests


def test_kayentas_judge_says_high_of_what_lies_apart_and_not_of_what_does_not() -> None:
    rng = np.random.default_rng(2)
    control = list(rng.normal(10, 1, (20, 50)))
    alike, apart = list(rng.normal(10, 1, (20, 50))), list(rng.normal(20, 1, (20, 50)))
    assert high(apart, control).all()
    assert high(alike, control).mean() < 0.1


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_ten_thousand_a_a_rollouts_of_every_type_on_every_stream(
    kind: Kind, stream: Stream
) -> None:
    within_alpha(false_rollbacks(kind, stream, runs=10_000, count=200))

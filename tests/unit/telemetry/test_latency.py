"""Latencies as sketches: quantiles within what the buckets allow."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.latency import FIRST_US, OVERFLOW, RATIO, merged, quantile
from control_plane.telemetry.counters import ArmCounters, step
from control_plane.telemetry.latency import bucket_of, own_counts


def native_edges() -> list[float]:
    """As `Metrics::Buckets(50, 100e6, 1.05)` makes them."""
    edges, edge = [], FIRST_US
    while edge < 100e6:
        edges.append(edge)
        edge *= RATIO
    return [*edges, 100e6]


def test_each_of_the_routers_edges_is_a_bucket_of_its_own() -> None:
    edges = native_edges()
    assert [bucket_of(f"{edge:.9g}") for edge in edges] == list(range(299))
    assert [bucket_of(f"{edge:.6g}") for edge in edges] == list(range(299))
    assert bucket_of("+Inf") == OVERFLOW


@given(
    st.lists(st.floats(60, 90e6), min_size=20, max_size=200),
    st.sampled_from([0.5, 0.9, 0.99]),
)
def test_a_quantile_is_within_a_bucket_of_the_true_one(values: list[float], q: float) -> None:
    sketch: dict[int, int] = {}
    for value in values:
        bucket = bucket_of(repr(value))
        sketch[bucket] = sketch.get(bucket, 0) + 1
    true = sorted(values)[max(0, math.ceil(q * len(values)) - 1)]
    assert quantile(sketch, q) == pytest.approx(true, rel=0.052)


def test_the_example_of_the_docstring() -> None:
    assert quantile({0: 1, 15: 2}, 0.5) == pytest.approx(100.2, abs=0.05)


def test_the_ends() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({3: 0}, 0.5) is None
    assert quantile({0: 10}, 0.99) == FIRST_US
    assert quantile({OVERFLOW: 1}, 0.5) == 100e6
    assert quantile({298: 1}, 1) == 100e6
    assert merged([{1: 1}, {1: 2, 5: 1}]) == {1: 3, 5: 1}


def test_cumulative_counts_are_taken_apart_in_any_order() -> None:
    assert own_counts([(2, 7), (0, 1), (1, 1), (299, 9)]) == {0: 1, 2: 6, 299: 2}


def test_a_step_is_the_increase() -> None:
    before = ArmCounters("e", "a", {"ok": 10, "error": 1, "rescued": 2}, 1000, {3: 11, 9: 2})
    now = ArmCounters(
        "e", "a", {"ok": 15, "error": 2, "rescued": 4, "rejected": 1}, 1500, {3: 16, 9: 2, 12: 3}
    )
    grown = step(before, now)
    assert (grown.requests, grown.failures, grown.handed_on, grown.errors) == (9, 3, 2, 2)
    assert (grown.duration_us, grown.buckets) == (500, {3: 5, 12: 3})
    assert step(now, now).empty


@pytest.mark.parametrize(
    "now",
    [
        ArmCounters("e", "a", {"ok": 4}, 1200, {3: 12}),
        ArmCounters("e", "a", {"ok": 12}, 400, {3: 12}),
        ArmCounters("e", "a", {"ok": 12}, 1200, {3: 2, 4: 10}),
    ],
)
def test_after_a_restart_all_of_it_is_new(now: ArmCounters) -> None:
    grown = step(ArmCounters("e", "a", {"ok": 10}, 1000, {3: 10}), now)
    assert (grown.requests, grown.duration_us) == (now.outcomes["ok"], now.duration_us)
    assert grown.buckets == now.buckets


def test_spread_values_still_have_quantiles() -> None:
    draw = random.Random(1)
    sketch = {bucket: draw.random() for bucket in range(20, 40)}
    low, high = quantile(sketch, 0.01), quantile(sketch, 1)
    assert low is not None
    assert high is not None
    assert FIRST_US * RATIO**19 <= low < high
    assert high == pytest.approx(FIRST_US * RATIO**39)

"""How a pipeline does as a whole, and where its steps stand when it is drawn."""

import pytest
from hypothesis import given

from control_plane.domain.pipelines.document import Runs
from control_plane.domain.pipelines.layout import WIDTH, drawing
from control_plane.domain.pipelines.members import WiredStep
from control_plane.domain.pipelines.performance import StepCounts, system_figures
from tests.support.pipelines import Drawn, fitting


def step(name: str, takes: str, gives: str) -> WiredStep:
    inputs = {one: one for one in takes.split()}
    return WiredStep(name, Runs("m", 1), inputs, {one: one for one in gives.split()})


def counts(latency_ms: float, rows_s: float, failed: int = 0) -> StepCounts:
    """What was counted of 99 requests of one row each."""
    compute_us = round(99 * 1e6 / rows_s)
    return StepCounts(99, failed, 99, 99, round(99 * latency_ms * 1e3), compute_us)


LINE = [step("decode", "raw", "image"), step("classify", "image", "logits")]


def test_the_worked_example() -> None:
    found = system_figures(LINE, {"decode": counts(2, 500), "classify": counts(3, 200, failed=1)})
    assert found.latency_ms == pytest.approx(5)
    assert found.throughput == pytest.approx(200, rel=1e-3)
    assert found.availability == pytest.approx(0.99)
    assert (found.slowest, found.narrowest) == ("classify", "classify")
    assert found.path == ("decode", "classify")
    assert [one.share for one in found.steps] == pytest.approx([0.4, 0.6])


def test_steps_beside_each_other_count_the_longer_one() -> None:
    fork = [
        step("head", "x", "h"),
        step("short", "h", "a"),
        step("long", "h", "b"),
        step("join", "a b", "y"),
    ]
    figures = {"head": 1.0, "short": 2.0, "long": 7.0, "join": 1.0}
    found = system_figures(fork, {name: counts(ms, 100) for name, ms in figures.items()})
    assert found.latency_ms == pytest.approx(9)
    assert found.path == ("head", "long", "join")
    assert found.steps[1].share is None, "it is not on the way that takes longest"


def test_batches_and_instances_let_through_more() -> None:
    batched = StepCounts(
        succeeded=100,
        failed=0,
        rows=400,
        executions=50,
        request_us=1,
        compute_us=1_000_000,
        instances=2,
    )
    assert system_figures(LINE[:1], {"decode": batched}).throughput == pytest.approx(1600)


def test_nothing_is_said_of_what_was_not_measured() -> None:
    found = system_figures(LINE, {"decode": counts(2, 500)})
    assert (found.latency_ms, found.throughput, found.availability) == (None, None, None)
    assert found.unmeasured == ("classify",)
    assert found.steps[0].latency_ms == pytest.approx(2)


@given(drawn=fitting())
def test_whatever_is_drawn_every_edge_goes_down_and_no_boxes_overlap(drawn: Drawn) -> None:
    wiring = drawn.wired()
    found = drawing(wiring, wiring.steps)
    places = {(node.x, node.y) for node in found.nodes}
    assert len(places) == len(found.nodes)
    for node in found.nodes:
        assert 0 <= node.x <= found.width - WIDTH
    for edge in found.edges:
        assert edge.source.y < edge.target.y
    taken = {edge.tensor for edge in found.edges}
    assert taken == set(wiring.tensors)

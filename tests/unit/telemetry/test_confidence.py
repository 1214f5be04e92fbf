"""How sure answers are, from the router's page to what an arm grew by."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from control_plane.domain.confidence import OVERFLOW, edge, edge_at_quantile, surer
from control_plane.ports.triton import Sample
from control_plane.telemetry.counters import step
from control_plane.telemetry.samples import rows


def test_confidence_grows_with_the_arm_that_it_is_of() -> None:
    def page(unsure: int, sure: int, certain: int) -> list[Sample]:
        of = {"endpoint": "digits", "arm": "digits.v2.bb2a8c"}
        name = "nereid_output_confidence"
        all_told = unsure + sure + certain
        return [
            Sample("nereid_requests_total", {**of, "outcome": "ok"}, 50.0),
            Sample(f"{name}_bucket", {**of, "le": f"{edge(38):.6g}"}, float(unsure)),
            Sample(f"{name}_bucket", {**of, "le": f"{edge(50):.6g}"}, float(unsure + sure)),
            Sample(f"{name}_bucket", {**of, "le": "+Inf"}, float(all_told)),
            Sample(f"{name}_sum", of, 0.5 * unsure + 0.875 * sure + certain),
            Sample(f"{name}_count", of, float(all_told)),
        ]

    [before], [now] = (
        rows(page(*counts), uuid4(), datetime.now(UTC)).counters
        for counts in ((7, 1, 0), (9, 4, 2))
    )
    grown = step(before, now)
    assert grown.confidence == {38: 2, 50: 3, OVERFLOW: 2}
    assert (grown.more["confidence_of"], grown.more["confidence_sum"]) == (7, 5_625_000)
    assert step(now, before).confidence == {38: 7, 50: 1}, "a server that began anew"


def test_the_edge_of_a_quantile_is_the_one_whose_share_is_nearest() -> None:
    spread = {40: 90, 41: 30, 50: 870, 60: 10}
    assert [edge_at_quantile(spread, q) for q in (0.1, 0.5, 0.9)] == [40, 49, 50]
    assert surer(spread, 40) == 910
    assert edge_at_quantile({40: 3, 50: 3}, 0.1) is None, "too few to know a tenth"
    assert edge_at_quantile({0: 90, 50: 10}, 0.1) is None, "no probabilities at all"
    assert edge_at_quantile({OVERFLOW: 500}, 0.1) == OVERFLOW - 1

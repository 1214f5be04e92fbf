"""Sticky keys, from the router's page to what an arm grew by."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from control_plane.ports.triton import Sample
from control_plane.telemetry.counters import step
from control_plane.telemetry.samples import rows


def test_keys_grow_with_the_arm_that_they_are_of() -> None:
    def page(good: int, bad: int) -> list[Sample]:
        of = {"endpoint": "digits", "arm": "digits.v2.bb2a8c"}
        return [
            Sample("nereid_requests_total", {**of, "outcome": "ok"}, 50.0),
            Sample("nereid_keys_total", {**of, "outcome": "good"}, float(good)),
            Sample("nereid_keys_total", {**of, "outcome": "bad"}, float(bad)),
        ]

    [before], [now] = (
        rows(page(*counts), uuid4(), datetime.now(UTC)).counters for counts in ((7, 1), (9, 4))
    )
    grown = step(before, now).more
    assert (grown["keys_good"], grown["keys_bad"]) == (2, 3)

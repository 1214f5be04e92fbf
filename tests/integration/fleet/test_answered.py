"""Waiting feedback, put to the arm by the server that answered."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from control_plane.fleet.answered import FRESH, put_feedback_to_arms
from control_plane.telemetry.feedback import FeedbackCount, Report
from control_plane.telemetry.store import TelemetryStore
from tests.support.fakes import FakeClock

ONE, TWO = "digits.v1.aaaaaa", "digits.v2.bbbbbb"


class Knows:
    """A server that answered these requests of `digits`."""

    def __init__(self, arms: dict[str, str]) -> None:
        self._arms = arms

    def arms_of(self, endpoint: str, request_ids: Iterable[str]) -> dict[str, str]:
        return {r: self._arms[r] for r in request_ids if endpoint == "digits" and r in self._arms}


def begun(store: TelemetryStore) -> FakeClock:
    clock = FakeClock()
    store.keep_partitions(clock.now().date())
    return clock


def look(store: TelemetryStore, clock: FakeClock, arms: dict[str, str], *, whole: bool) -> int:
    return put_feedback_to_arms(store=store, answered=Knows(arms), clock=clock, all_that_wait=whole)


def test_each_server_counts_what_it_answered(telemetry: TelemetryStore) -> None:
    clock = begun(telemetry)
    said = [Report("correct", 1, 1, None, request) for request in ("a", "b", "c")]
    telemetry.write_feedback("digits", said, clock.now())
    telemetry.write_feedback("faces", said, clock.now())
    assert look(telemetry, clock, {"a": ONE}, whole=False) == 1
    assert look(telemetry, clock, {"a": TWO, "b": TWO}, whole=False) == 1
    grown = telemetry.feedback_since("digits", [ONE, TWO], clock.now() - timedelta(hours=1))
    assert grown.counts == (
        FeedbackCount(ONE, "correct", 1, 1),
        FeedbackCount(TWO, "correct", 1, 1),
    )


def test_what_waits_for_long_is_asked_for_less_often(telemetry: TelemetryStore) -> None:
    clock = begun(telemetry)
    telemetry.write_feedback("digits", [Report("correct", 1, 1, None, "a")], clock.now())
    clock.pass_time(seconds=FRESH.total_seconds() + 1)
    assert look(telemetry, clock, {"a": ONE}, whole=False) == 0
    assert look(telemetry, clock, {"a": ONE}, whole=True) == 1

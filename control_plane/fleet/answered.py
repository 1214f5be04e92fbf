"""Feedback of single requests, put to the arm that answered: each server is asked for its own."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

from control_plane.ports.answered import AnsweredRequests
from control_plane.ports.clock import Clock
from control_plane.telemetry.feedback import WAIT
from control_plane.telemetry.store import TelemetryStore

FRESH = timedelta(seconds=15)
"""What waits for longer is of another server, or of one that was away: it is asked for less."""

MOST = 5_000
"""Requests in one look; what is beyond comes with the next."""


def put_feedback_to_arms(
    *, store: TelemetryStore, answered: AnsweredRequests, clock: Clock, all_that_wait: bool
) -> int:
    """Counts the waiting reports of requests that this server answered; returns how many.

    Looks at the reports of the last seconds, or at `all_that_wait`. Two servers may look at the
    same moment: the first to know a request counts it.
    """
    since = clock.now() - (WAIT if all_that_wait else FRESH)
    waiting: dict[str, list[str]] = defaultdict(list)
    for endpoint, request_id in store.feedback_waiting(since, MOST):
        waiting[endpoint].append(request_id)
    counted = 0
    for endpoint, requests in waiting.items():
        if arms := answered.arms_of(endpoint, requests):
            counted += store.feedback_answered(endpoint, arms, clock.now())
    return counted

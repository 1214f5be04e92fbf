"""What callers say of the answers they got."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from nereid.calls.asking import part, read
from nereid.feedback import FeedbackSummary, FeedbackTaken
from nereid.steps import Steps

MOST = 1_000
"""Reports in one request; more are sent as several."""


def feedback(
    endpoint: str,
    outcome: str,
    *,
    request_id: str | None = None,
    arm: str | None = None,
    value: bool | int | None = None,
    count: int | None = None,
    of: int | None = None,
) -> Steps[FeedbackTaken]:
    """Say of an answer whether `outcome` was true of it (`value`), by the `request_id` that its
    request had; or of an `arm`'s answers, of how many it was (`count` of `of`).

    `arm` is the arm's name, or the physical model that answers carry as ``nereid_arm``. The first
    report of a request and outcome stands; sending it again changes nothing.
    """
    said = {"outcome": outcome, "request_id": request_id, "arm": arm, "count": count, "of": of}
    said["value"] = None if value is None else int(value)
    report = {key: each for key, each in said.items() if each is not None}
    return (yield from send_feedback(endpoint, [report]))


def send_feedback(endpoint: str, reports: Sequence[Mapping[str, Any]]) -> Steps[FeedbackTaken]:
    """Many reports, each a mapping with the names that `feedback` has. Of each thousand all are
    taken or, where one is refused, none."""
    taken = FeedbackTaken(0, 0, 0)
    path = f"/endpoints/{part(endpoint)}/feedback/"
    for begin in range(0, len(reports), MOST):
        some = [dict(report) for report in reports[begin : begin + MOST]]
        raw = yield from read("POST", path, json=some if len(some) > 1 else some[0])
        taken += FeedbackTaken.from_json(raw)
    return taken


def feedback_summary(endpoint: str, since: datetime | str | None = None) -> Steps[FeedbackSummary]:
    """What was said by arm and outcome: of the last day, or since a time with its zone."""
    moment = since.isoformat() if isinstance(since, datetime) else since
    params = {"since": moment} if moment else {}
    path = f"/endpoints/{part(endpoint)}/feedback/"
    return FeedbackSummary.from_json((yield from read("GET", path, params=params)))

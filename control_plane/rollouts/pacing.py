"""The candidate's share where the evidence chooses it: as much as its harm budget allows."""

from __future__ import annotations

from datetime import datetime, timedelta

from control_plane.domain.analysis.pacing import allowed_weight
from control_plane.domain.rollout.snapshot import Harm, Share
from control_plane.domain.rollout.steps import Ramp
from control_plane.domain.routing.policy import SLOTS
from control_plane.rollouts.models import Rollout

REACTION_S = 5.0
"""Until another share can be in force: a scrape, a look, a switch, with time to spare."""

YOUNG = timedelta(seconds=3)
"""A share is in force for so long before the next one: two looks at what it does."""


def share_of(rollout: Rollout, harm: Harm, now: datetime) -> Share:
    """The share that the candidate has, and the one that it may have now."""
    if rollout.step >= len(rollout.steps):
        return Share(rollout.share)
    step = rollout.steps[rollout.step]
    since = rollout.step_since
    if not isinstance(step, Ramp) or since is None or now - since < YOUNG:
        return Share(rollout.share)
    left = harm.granted - harm.failed if harm.left is None else harm.left
    pace = allowed_weight(
        weight=rollout.share / SLOTS,
        attempts=rollout.answered_seen,
        failures=rollout.failed_seen,
        budget_left=left,
        rate=rollout.rate,
        reaction=REACTION_S,
        confidence=rollout.confidence,
    )
    parts = min(step.most, max(1, int(pace.weight * SLOTS)))
    return Share(rollout.share, parts, pace.reason)

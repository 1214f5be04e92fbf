"""Rollouts under way, a line each, and those of them that need somebody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from control_plane.console import words
from control_plane.console.record_admin import change_url
from control_plane.console.rights import visible
from control_plane.console.rollout_page import brought, share_now
from control_plane.console.rollout_words import step_words
from control_plane.domain.rollout.states import State
from control_plane.rollouts.models import Rollout
from control_plane.rollouts.selectors import active_rollouts

MOST = 12
LOOKED_AT_BY = timedelta(seconds=30)
"""A look that is late by more than this was forgotten: whoever looks is not there."""


@dataclass(frozen=True)
class RolloutLine:
    """A rollout in one line; `done` is how many of its steps are behind it."""

    rollout: Rollout
    brings: str
    share: float | None
    step: str
    done: int
    count: int
    url: str

    @property
    def percent(self) -> float:
        """How far it is through its steps."""
        return round(100 * self.done / self.count, 1) if self.count else 100.0


def active(user: Any, endpoint: str | None = None) -> list[Rollout]:
    """Those that the person may see, the newest first; of one endpoint, where one is named."""
    rows = visible(user, active_rollouts().defer("found", "written", "harm_cursors"))
    if endpoint is not None:
        rows = rows.filter(endpoint_name=endpoint)
    return list(rows.order_by("-created_at")[: 4 * MOST])


def under_way(rollouts: Iterable[Rollout]) -> list[RolloutLine]:
    """A line for each, as many as a page has room for."""
    return [_line(rollout) for rollout in islice(rollouts, MOST)]


def _line(rollout: Rollout) -> RolloutLine:
    steps = rollout.steps
    at = " ".join(step_words(steps[rollout.step])) if rollout.step < len(steps) else "promotion"
    if rollout.state == State.PROMOTED:
        at = "watch"
    return RolloutLine(
        rollout=rollout,
        brings=words.served(brought(rollout)),
        share=share_now(rollout),
        step=at,
        done=min(rollout.step, len(steps)),
        count=len(steps),
        url=change_url(rollout),
    )


@dataclass(frozen=True)
class Waiting:
    """A rollout that does not go on by itself: its state or what is wrong, why, what to do."""

    rollout: Rollout
    state: str
    why: str
    deed: str


def waiting(rollouts: Iterable[Rollout], username: str, now: datetime) -> Iterator[Waiting]:
    """Those that somebody has to look at."""
    for rollout in rollouts:
        if found := _waits(rollout, username, now):
            yield found


def _waits(rollout: Rollout, name: str, now: datetime) -> Waiting | None:
    state = State(rollout.state)
    if rollout.look_at is not None and now - rollout.look_at > LOOKED_AT_BY:
        late = words.lasting(now - rollout.look_at)
        why = f"nobody has looked at it for {late}: is a worker up? The harm budget holds meanwhile"
        return Waiting(rollout, "stuck", why, "Look at the rollout")
    if state is State.AWAITING_APPROVAL:
        own = rollout.started_by == name and bool(rollout.endpoint and rollout.endpoint.four_eyes)
        asked = "you started it, and somebody else has to approve" if own else rollout.reason
        return Waiting(rollout, state, asked, "Look at it" if own else "Review the rollout")
    if state is State.INCONCLUSIVE:
        return Waiting(rollout, state, rollout.reason, "Decide")
    if state is State.PAUSED and rollout.pause_until is None:
        return Waiting(rollout, state, rollout.reason, "Resume or abort it")
    return None

"""A rollout's page: where it stands and why, what it spends, what it measures, what one may do."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from sqlalchemy.exc import SQLAlchemyError

from control_plane import wiring
from control_plane.console import words
from control_plane.console.live_parts import part, to_login
from control_plane.console.overview import (
    EndpointCard,
    Segment,
    endpoint_cards,
    recent_traffic,
)
from control_plane.console.rights import sees, visible
from control_plane.console.rollout_words import CONTROLS, LEADS_ON, control_of, step_words
from control_plane.console.run_evidence import RunView, run_view
from control_plane.domain.rollout.states import FINAL, Event, State
from control_plane.domain.rollout.steps import Ramp, Step, split_at
from control_plane.domain.routing.policy import percent
from control_plane.endpoints.models import Endpoint
from control_plane.endpoints.selectors import physical_of
from control_plane.rollouts.controls import controls_of
from control_plane.rollouts.models import Rollout, RolloutEvent, RolloutRun
from control_plane.rollouts.selectors import events_of, runs_of

logger = logging.getLogger(__name__)

DRAWN_RUNS, KNOWN_RUNS = 3, 15
"""Runs that are drawn on the rollout's page, and with them those that are listed: each has a page
of its own, and a watch begins one after the other."""

NEWEST_EVENTS = 40
STOP_ASKING = 286
"""htmx shows what comes with it, and asks no more."""

_BAD = frozenset({State.ROLLING_BACK, State.ROLLED_BACK, State.FAILED, State.ABORTED})


@dataclass(frozen=True)
class StepView:
    """One step: `kind` is done, skipped, now, ended (the rollout ended in it) or ahead."""

    number: int
    name: str
    says: str
    kind: str
    note: str = ""


@dataclass(frozen=True)
class Button:
    """A control that can be pressed, or why it cannot although its state would allow it."""

    event: str
    text: str
    kind: str
    url: str
    off: str = ""


@dataclass(frozen=True)
class ServerHarm:
    """What one server was granted, and what it has left at the last scrape; None: not known."""

    name: str
    granted: int
    left: int | None

    @property
    def spent(self) -> int | None:
        return None if self.left is None else max(0, self.granted - self.left)


@dataclass(frozen=True)
class Harm:
    """The harm budget being spent."""

    budget: int
    spent: int
    servers: list[ServerHarm]

    @property
    def left(self) -> int:
        return max(0, self.budget - self.spent)

    @property
    def bar(self) -> list[Segment]:
        width = min(100.0, 100 * self.spent / self.budget) if self.budget else 0.0
        title = f"{self.spent} of {self.budget} failed attempts"
        return [Segment(0, round(width, 2), 8, title)] if width else []


def rollout_context(user: Any, rollout: Rollout, now: datetime) -> dict[str, Any]:
    """What the live part of the page shows."""
    card = _card(user, rollout, now)
    runs = runs_of(rollout)
    links = list(runs.defer("run__state", "run__cursors").order_by("-run__began_at")[:KNOWN_RUNS])
    events = list(events_of(rollout).order_by("-number")[:NEWEST_EVENTS])
    drawn, listed = _runs(rollout, links)
    return {
        "rollout": rollout,
        "steps": step_views(rollout, events, now),
        "share": share_now(rollout),
        "figures": figures(rollout, now),
        "card": card,
        "harm": harm_of(rollout, card),
        "runs": drawn,
        "other_runs": listed,
        "more_runs": runs.count() - len(links),
        "happened": events,
        "buttons": buttons_of(user, rollout),
        "refreshes": rollout.active,
        "old": _old_arm(rollout),
        "new": brought(rollout),
    }


def live_rollout(request: HttpRequest, rollout_id: UUID) -> HttpResponse:
    """The part of a rollout's page that the browser asks for anew."""
    if not admin.site.has_permission(request):
        return to_login(reverse("admin:rollouts_rollout_change", args=[rollout_id]))
    if not sees(request.user, "rollouts.Rollout"):
        raise PermissionDenied
    rows = visible(request.user, Rollout.objects.select_related("endpoint"))
    rollout = rows.filter(pk=rollout_id).first()
    if rollout is None:  # no longer theirs to see: the list says so
        return HttpResponse(headers={"HX-Redirect": reverse("admin:rollouts_rollout_changelist")})
    context = rollout_context(request.user, rollout, wiring.clock().now())
    response = part(request, "console/parts/rollout_live.html", context)
    if not rollout.active:
        response.status_code = STOP_ASKING
    return response


def step_views(rollout: Rollout, events: Sequence[RolloutEvent], now: datetime) -> list[StepView]:
    """The steps in their order, each with where the rollout stands in regard to it."""
    skipped = {
        event.step - 1
        for event in events
        if event.event == Event.SKIP.value and event.at >= _began(rollout, events)
    }
    found = []
    for i, step in enumerate(rollout.steps):
        name, says = step_words(step)
        kind = _kind(rollout, i, skipped)
        note = _note(rollout, step, now) if kind == "now" else ""
        found.append(StepView(i + 1, name, says, kind, note))
    return [*found, *_last_views(rollout, len(found), now)]


def _last_views(rollout: Rollout, count: int, now: datetime) -> list[StepView]:
    """What comes after the last step: the promotion, and the watch."""
    state = State(rollout.state)
    gone_back = state in _BAD and rollout.begun and rollout.step >= count
    promoted = "done" if state is State.PROMOTED else "ahead"
    if state is State.PROMOTING:
        promoted = "now"
    found = [StepView(count + 1, "promotion", "100 %", "ended" if gone_back else promoted)]
    if rollout.watch_seconds:
        span = words.lasting(timedelta(seconds=rollout.watch_seconds))
        kind, note = "ahead", ""
        if state is State.PROMOTED:
            kind = "now" if rollout.active else "done"
        if kind == "now" and rollout.watch_until is not None:
            note = f"{words.lasting(rollout.watch_until - now)} left"
        found.append(StepView(count + 2, "watch", span, kind, note))
    return found


def _began(rollout: Rollout, events: Sequence[RolloutEvent]) -> datetime:
    """When its present attempt began."""
    again = (event.at for event in events if event.event == Event.RETRY.value and event.step == 0)
    return max(again, default=rollout.created_at)


def _kind(rollout: Rollout, i: int, skipped: set[int]) -> str:
    state = State(rollout.state)
    if i < rollout.step:
        return "skipped" if i in skipped else "done"
    if i > rollout.step or not rollout.begun:
        return "ahead"
    return "ended" if state in _BAD else "now"


def _note(rollout: Rollout, step: Step, now: datetime) -> str:
    if rollout.held_by:
        return f"held by {rollout.held_by}"
    if rollout.pause_until is not None:
        return f"{words.lasting(rollout.pause_until - now)} left"
    if rollout.step_since is not None:
        return f"for {words.lasting(now - rollout.step_since)}"
    return ""


def share_now(rollout: Rollout) -> float | None:
    """The candidate's percent of what the primary had, by the steps.

    None where whoever ended it decides that.
    """
    state = State(rollout.state)
    if state is State.ABORTED:
        return None
    if state is State.PROMOTED or state is State.PROMOTING:
        return 100.0
    if not rollout.begun or state in _BAD:
        return 0.0
    step = rollout.steps[rollout.step] if rollout.step < len(rollout.steps) else None
    if isinstance(step, Ramp):
        return float(percent(rollout.share))
    return float(percent(split_at(rollout.steps, rollout.step).parts))


def figures(rollout: Rollout, now: datetime) -> dict[str, str]:
    """Lengths of time in words: how long it runs or ran, and when it is looked at again."""
    ended = rollout.finished_at or now
    found = {"lasted": words.lasting(ended - rollout.created_at)}
    if rollout.active and rollout.look_at is not None:
        ahead = rollout.look_at - now
        found["next_look"] = f"in {words.lasting(ahead)}" if ahead > timedelta(seconds=1) else "now"
    if rollout.watch_until is not None and rollout.active:
        found["watched"] = words.lasting(rollout.watch_until - now)
    if rollout.deadline_at is not None and rollout.active and rollout.state not in FINAL:
        found["deadline"] = words.lasting(rollout.deadline_at - now)
    return found


def harm_of(rollout: Rollout, card: EndpointCard | None) -> Harm:
    """What is spent of the budget; per server where the telemetry knows it."""
    servers: list[ServerHarm] = []
    physical = _candidate(rollout, card)
    splits = rollout.active and rollout.state != State.PROMOTED
    if rollout.granted_each and splits and card is not None:
        left = _failures_left(rollout, physical) if physical else {}
        given = rollout.granted_to
        where = {p.server_id: p.name for p in card.servers if not given or p.name in given}
        servers = [
            ServerHarm(name, rollout.granted_each, left.get(str(key)))
            for key, name in where.items()
        ]
    return Harm(rollout.harm_budget, rollout.harm_spent, servers)


def _candidate(rollout: Rollout, card: EndpointCard | None) -> str:
    """The physical model of the candidate, where the endpoint's plan has it."""
    if card is None:
        return ""
    planned = physical_of(card.endpoint)
    for arm in (card.endpoint.policy or {}).get("arms", ()):
        if words.served(arm) == words.served(brought(rollout)):
            return planned.get(arm["name"], "")
    return ""


def brought(rollout: Rollout) -> dict[str, Any]:
    """What it brings, in the words of a policy's arm."""
    if rollout.pipeline:
        return {"pipeline": rollout.model, "revision": rollout.version}
    return {"model": rollout.model, "version": rollout.version}


def _failures_left(rollout: Rollout, physical: str) -> dict[str, int]:
    """By server, what it has left since the budget is in force."""
    since = rollout.granted_at or rollout.created_at
    try:
        left = wiring.telemetry().failures_left(rollout.endpoint_name, physical, since)
    except SQLAlchemyError:
        logger.warning("the telemetry store does not answer", exc_info=True)
        return {}
    return {server: one.usable for server, one in left.items()}


def _old_arm(rollout: Rollout) -> dict[str, Any] | None:
    arms = (rollout.found or (rollout.endpoint and rollout.endpoint.policy) or {}).get("arms", ())
    return next((arm for arm in arms if arm.get("primary")), None)


def _card(user: Any, rollout: Rollout, now: datetime) -> EndpointCard | None:
    if rollout.endpoint_id is None or not rollout.active:
        return None
    rows = visible(user, Endpoint.objects.filter(pk=rollout.endpoint_id))
    return next(iter(endpoint_cards(rows, recent_traffic(now))), None)


def _runs(
    rollout: Rollout, links: Sequence[RolloutRun]
) -> tuple[list[RunView], list[tuple[str, Any]]]:
    """Those drawn, the present ones first, and the others with where each belongs to."""
    ordered = sorted(
        links,
        key=lambda link: (link.run.ended_at is None, link.run.began_at, link.run.template_name),
        reverse=True,
    )
    drawn = [run_view(link.run, _title(rollout, link)) for link in ordered[:DRAWN_RUNS]]
    return drawn, [(_title(rollout, link), link.run) for link in ordered[DRAWN_RUNS:]]


def _title(rollout: Rollout, link: RolloutRun) -> str:
    steps = rollout.steps
    where = "after the promotion" if link.step >= len(steps) else f"at step {link.step + 1}"
    attempt = f", attempt {link.attempt}" if rollout.attempt > 1 else ""
    return f"{link.run.template_name} {where}{attempt}"


def buttons_of(user: Any, rollout: Rollout) -> list[Button]:
    """What the person may do now; what only the four-eyes rule keeps from them says so."""
    if not user.has_perm("rollouts.change_rollout", rollout):
        return []
    allowed = controls_of(rollout, user.get_username())
    found: list[Button] = []
    for control in CONTROLS:
        if control.event is Event.PAUSE and rollout.held_by:
            continue  # held by a person already; a pause of its steps can still be held
        off = allowed.get(control.event.value, "not now")
        if not off or (control.event is Event.APPROVE and rollout.state == State.AWAITING_APPROVAL):
            url = reverse(f"admin:rollouts_rollout_{control.event.value}", args=[rollout.pk])
            # Of what leads on, the first is the one to press.
            first = control.kind != LEADS_ON or all(one.kind != LEADS_ON for one in found)
            kind = control.kind if first else ""
            text = control_of(rollout, control.event).button
            found.append(Button(control.event.value, text, kind, url, off))
    return found

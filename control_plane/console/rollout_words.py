"""How the console says what a rollout is doing, and what each of its controls will do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from control_plane.console import words
from control_plane.domain.rollout.harm import Grant
from control_plane.domain.rollout.states import Event, State
from control_plane.domain.rollout.steps import (
    Analysis,
    Approval,
    Kind,
    Pause,
    Ramp,
    SetRule,
    SetShadow,
    SetWeight,
    Step,
)
from control_plane.domain.routing.policy import percent
from control_plane.domain.routing.words import conditions_in_words
from control_plane.rollouts.models import Rollout

LEADS_ON = "n-primary"
"""The button of a control that lets the rollout go on."""

STRATEGIES = {
    Kind.CANARY: "canary: in steps, each with a share of the requests",
    Kind.PROGRESSIVE: "progressive: as fast as the evidence and the harm budget allow",
    Kind.SHADOW_FIRST: "shadowFirst: copies of requests first, which harm no caller, then a canary",
    Kind.BLUE_GREEN: "blueGreen: everything at once, the old version kept ready",
}


@dataclass(frozen=True)
class Control:
    """A control as a page offers it: its button, the question it asks, and what it will do."""

    event: Event
    button: str
    question: str
    kind: str
    consequences: Callable[[Rollout], list[str]]


def control_of(rollout: Rollout, event: Event) -> Control:
    """The control as it is called in the state of that rollout."""
    found = next(control for control in CONTROLS if control.event is event)
    if event is Event.PROMOTE and rollout.state == State.PROMOTED:
        return replace(found, button="End the watch", question="Watch {to} no longer?")
    return found


def step_words(step: Step) -> tuple[str, str]:
    """A step's name in Argo's word, and what it says beside that."""
    match step:
        case SetWeight():
            return "setWeight", f"{percent(step.parts):g} %"
        case Pause(duration=None):
            return "pause", "until somebody resumes"
        case Pause(duration=duration):
            return "pause", words.lasting(timedelta(microseconds=duration or 0))
        case Analysis():
            return "analysis", ", ".join(step.templates)
        case Approval():
            return "approval", "by a person"
        case Ramp():
            return "ramp", f"{percent(step.first):g} to {percent(step.most):g} %"
        case SetShadow():
            shadowed = f"copies of {percent(step.parts):g} %" if step.parts else "off"
            return "setShadow", shadowed
        case SetRule():
            return "setRule", conditions_in_words(step.conditions) or "off"


def _old(rollout: Rollout) -> str:
    arms = (rollout.found or {}).get("arms", ())
    return next((words.served(arm) for arm in arms if arm.get("primary")), "what serves now")


def _promotes(rollout: Rollout) -> list[str]:
    if rollout.state == State.PROMOTED:
        return [
            f"{rollout.to} is watched no longer: the rollout ends here, as promoted.",
            f"{_old(rollout)} is let go. Rolling the endpoint back stays possible.",
        ]
    left = max(0, len(rollout.steps) - rollout.step)
    skipped = f"; {left} step{'s are' if left != 1 else ' is'} left out" if left else ""
    return [
        f"{rollout.to} gets every request of {rollout.endpoint_name}{skipped}.",
        "No analysis holds it back any more; what was measured stays in the record.",
        *_watched(rollout),
    ]


def _watched(rollout: Rollout) -> list[str]:
    if not rollout.watch_seconds:
        return [f"{_old(rollout)} is let go: nothing is watched after that."]
    span = words.lasting(timedelta(seconds=rollout.watch_seconds))
    return [
        f"It is watched for {span}, and still taken back if it turns out to be worse. Until then "
        f"{_old(rollout)} stays loaded."
    ]


def _skips(rollout: Rollout) -> list[str]:
    steps = rollout.steps
    left = " ".join(step_words(steps[rollout.step])) if rollout.step < len(steps) else "this step"
    last = rollout.step + 1 >= len(steps)
    coming = "the promotion" if last else " ".join(step_words(steps[rollout.step + 1]))
    return [f"{left} is left as it is.", f"Next comes {coming}."]


def _aborts(rollout: Rollout) -> list[str]:
    if not rollout.begun:
        return ["It ends before it began: traffic stays as it is."]
    return [
        f"Every request goes to {_old(rollout)} again, by the routers alone: under a second.",
        f"{rollout.to} gets no more requests, and is unloaded when none runs on it any more.",
        "Nothing loads for it, and no caller sees an error.",
    ]


def _pauses(rollout: Rollout) -> list[str]:
    return [
        "Traffic stays split as it is now, until somebody resumes.",
        "What is measured is still measured, and the harm budget still holds: it is taken back if "
        "the candidate turns out to be bad.",
    ]


def _resumes(rollout: Rollout) -> list[str]:
    if rollout.state == State.INCONCLUSIVE:
        return ["The step is measured anew, from the start."]
    if rollout.held_by:
        return ["It goes on with the step at which it was paused."]
    return ["The pause is over: it goes on with the next step."]


def _approves(rollout: Rollout) -> list[str]:
    if not rollout.begun:
        return [
            f"The rollout that {rollout.started_by} asked for begins: {rollout.to} is loaded on "
            "every server, and goes through its steps.",
            f"At most {rollout.harm_budget} failed attempts may come of it.",
        ]
    return ["It goes on with the next step."]


def _retries(rollout: Rollout) -> list[str]:
    if rollout.state == State.INCONCLUSIVE:
        return ["The step is measured anew, from the start."]
    left = max(0, rollout.harm_budget - rollout.harm_spent)
    return [
        "It begins anew at its first step, from the policy that serves now.",
        f"Of its harm budget {left} of {rollout.harm_budget} failed attempts are left.",
    ]


CONTROLS = (
    Control(Event.APPROVE, "Approve", "Let {rollout} go on?", LEADS_ON, _approves),
    Control(Event.RESUME, "Resume", "Let {rollout} go on?", LEADS_ON, _resumes),
    Control(Event.RETRY, "Try again", "Try {rollout} again?", LEADS_ON, _retries),
    Control(Event.PAUSE, "Pause", "Hold {rollout} where it is?", "", _pauses),
    Control(Event.SKIP, "Skip step", "Leave out the present step of {rollout}?", "", _skips),
    Control(Event.PROMOTE, "Promote now", "Give {to} every request now?", "", _promotes),
    Control(Event.ABORT, "Abort", "Take {rollout} back?", "n-danger", _aborts),
)
"""In the order of their buttons: what leads on first, the way back last."""


def what_happens(
    rollout: Rollout, grant: Grant, present: Rollout | None, *, four_eyes: bool
) -> list[str]:
    """What a rollout will do from its start to its end, for people to read before they start it."""
    new, servers = str(rollout.to), grant.servers
    said = []
    if present is not None:
        said.append(f"{present} is taken back first, and ends as aborted.")
    if four_eyes:
        said.append("Another person approves it before anything is touched.")
    where = "on its server" if servers == 1 else f"on all {servers} servers"
    said.append(f"{new} is loaded {where}, beside what serves now, and gets no request by that.")
    said += [f"Step {i}: {_foretold(step)}." for i, step in enumerate(rollout.steps, start=1)]
    said.append(f"Then {new} gets every request, and is what others are compared with.")
    if rollout.watch_seconds:
        span = words.lasting(timedelta(seconds=rollout.watch_seconds))
        by = ", ".join(rollout.plan.watch)
        said.append(f"For {span} after that {by} goes on measuring, and can still take it back.")
    each = f": {grant.each} on each of {servers} servers" if servers > 1 else ""
    said.append(
        f"At most {grant.total} failed attempts may come of it{each}. The routers count them; when "
        "they are spent, it is taken back."
    )
    if rollout.dry_run:
        said.append(
            "A dry run: what is measured is shown, and decides nothing. The harm budget holds."
        )
    return said


def _foretold(step: Step) -> str:
    match step:
        case SetWeight():
            return f"it gets {percent(step.parts):g} % of the requests that the primary had"
        case Pause(duration=None):
            return "it waits until somebody resumes"
        case Pause(duration=duration):
            return f"it waits {words.lasting(timedelta(microseconds=duration or 0))}"
        case Analysis():
            names = " and ".join(step.templates)
            return f"{names} measures until it is sure: good goes on, bad goes back by itself"
        case Approval():
            return "it waits until a person approves"
        case Ramp():
            names = " and ".join(step.templates)
            return (
                f"it begins with {percent(step.first):g} %, and gets more, up to "
                f"{percent(step.most):g} %, as {names} finds it good; never more than what is left "
                "of the harm budget can bear"
            )
        case SetShadow():
            copies = f"it gets copies of {percent(step.parts):g} % of the requests"
            return f"{copies}, which no caller sees" if step.parts else "it gets no more copies"
        case SetRule():
            said = conditions_in_words(step.conditions)
            return f"it gets the requests with {said}" if said else "it gets none by rule any more"

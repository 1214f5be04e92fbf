"""Which controls a person may use on a rollout now, and why not the others."""

from __future__ import annotations

from control_plane.domain.four_eyes import Person
from control_plane.domain.rollout.states import CONTROLS, Event, State, after
from control_plane.domain.rollout.steps import Approval
from control_plane.domain.violations import ConflictError, NotAllowedError
from control_plane.endpoints.changes import person_of
from control_plane.rollouts.models import Rollout

_FORWARD = (Event.PROMOTE, Event.SKIP)


def controls_of(rollout: Rollout, actor: str) -> dict[str, str]:
    """Each control -> why it cannot be used now, in words; empty where it can.

    What the person's role lets them do is asked elsewhere.
    """
    person = person_of(actor)
    found = {}
    for control in CONTROLS:
        try:
            check_control(rollout, control, person)
            found[control.value] = ""
        except (ConflictError, NotAllowedError) as refusal:
            found[control.value] = str(refusal)
    return found


def check_control(rollout: Rollout, control: Event, person: Person) -> None:
    """Whether that person may do that to the rollout now.

    Raises:
        IllegalTransitionError, ConflictError: its state forbids it.
        NotAllowedError: it takes a person who did not start it.
    """
    state = State(rollout.state)
    if rollout.finished_at is not None and control is not Event.RETRY:
        raise ConflictError(f"{rollout} has ended ({state}): start another one, or retry it")
    before_the_start = state is State.AWAITING_APPROVAL and not rollout.begun
    if before_the_start and control in _FORWARD:
        raise ConflictError(f"{rollout} waits to be approved before it begins: approve or abort it")
    if state is State.PROMOTED and rollout.finished_at is not None:
        raise ConflictError(f"{rollout} is promoted: to go back, roll the endpoint back")
    after(state, Event.ADMIT if before_the_start and control is Event.APPROVE else control)
    _check_second_person(rollout, control, person)


def _check_second_person(rollout: Rollout, control: Event, person: Person) -> None:
    """An approval under the four-eyes rule is another person's, and so is leaving one out."""
    endpoint = rollout.endpoint
    if endpoint is None or not endpoint.four_eyes or not person.is_same(rollout.starter_person):
        return
    rest = rollout.steps[rollout.step :]
    if control is Event.SKIP:
        rest = rest[:1]
    left = any(isinstance(step, Approval) for step in rest)
    if control is Event.APPROVE or (control in _FORWARD and left):
        raise NotAllowedError(
            f"you started {rollout} yourself, and the endpoint has the four-eyes rule: somebody "
            "else who may change it approves"
        )

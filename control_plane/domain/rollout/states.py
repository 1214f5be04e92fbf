"""Where a rollout stands, and which event leads where.

The table is whole: what is not in it is illegal and raises. Who decides which event it is reads
`deciding`; what people ask for is in `CONTROLS`.
"""

from __future__ import annotations

from enum import StrEnum

from control_plane.domain.violations import ConflictError


class State(StrEnum):
    """Where a rollout stands; the words people see."""

    PENDING = "pending"
    PREPARING = "preparing"
    PROGRESSING = "progressing"
    PAUSED = "paused"
    ANALYSING = "analysing"
    AWAITING_APPROVAL = "awaitingApproval"
    PROMOTING = "promoting"
    PROMOTED = "promoted"
    ROLLING_BACK = "rollingBack"
    ROLLED_BACK = "rolledBack"
    ABORTED = "aborted"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


class Event(StrEnum):
    """What happens to a rollout."""

    BEGIN = "begin"
    ASK = "ask"
    ADMIT = "admit"
    ARRIVED = "arrived"
    WAIT = "wait"
    ANALYSE = "analyse"
    NEED_APPROVAL = "needApproval"
    STEPS_DONE = "stepsDone"
    ELAPSED = "elapsed"
    MEASURED_GOOD = "measuredGood"
    MEASURED_BAD = "measuredBad"
    NOT_MEASURED = "notMeasured"
    UNDECIDED = "undecided"
    BUDGET_SPENT = "budgetSpent"
    BUDGET_LOST = "budgetLost"
    DEADLINE = "deadline"
    REFUSED = "refused"
    RETURNED = "returned"
    RETURNED_ABORTED = "returnedAborted"
    RETURNED_FAILED = "returnedFailed"
    OVERTAKEN = "overtaken"
    APPROVE = "approve"
    PROMOTE = "promote"
    SKIP = "skip"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    RETRY = "retry"


CONTROLS = (
    *(Event.APPROVE, Event.PROMOTE, Event.SKIP, Event.PAUSE, Event.RESUME),
    *(Event.ABORT, Event.RETRY),
)
"""What people do to a rollout."""

FINAL = frozenset({State.PROMOTED, State.ROLLED_BACK, State.ABORTED, State.FAILED})
"""Where a rollout ends. One that is promoted is watched for a while, and may still return."""

_S, _E = State, Event

_STEPPING = (_S.PROGRESSING, _S.PAUSED, _S.ANALYSING, _S.AWAITING_APPROVAL, _S.INCONCLUSIVE)
_UNDER_WAY = (_S.PREPARING, *_STEPPING, _S.PROMOTING)

_FORWARD = {
    (_S.PENDING, _E.BEGIN): _S.PREPARING,
    (_S.PENDING, _E.ASK): _S.AWAITING_APPROVAL,
    # A second person admits the whole of it before anything is touched.
    (_S.AWAITING_APPROVAL, _E.ADMIT): _S.PENDING,
    (_S.PREPARING, _E.ARRIVED): _S.PROGRESSING,
    (_S.PROGRESSING, _E.ARRIVED): _S.PROGRESSING,
    (_S.PROGRESSING, _E.WAIT): _S.PAUSED,
    (_S.PROGRESSING, _E.ANALYSE): _S.ANALYSING,
    (_S.PROGRESSING, _E.NEED_APPROVAL): _S.AWAITING_APPROVAL,
    # The four-eyes rule was switched on meanwhile: nothing goes further before another approves.
    (_S.ANALYSING, _E.NEED_APPROVAL): _S.AWAITING_APPROVAL,
    (_S.PROMOTING, _E.NEED_APPROVAL): _S.AWAITING_APPROVAL,
    (_S.PROMOTED, _E.NEED_APPROVAL): _S.AWAITING_APPROVAL,
    (_S.PROGRESSING, _E.STEPS_DONE): _S.PROMOTING,
    (_S.PAUSED, _E.ELAPSED): _S.PROGRESSING,
    (_S.PAUSED, _E.RESUME): _S.PROGRESSING,
    (_S.ANALYSING, _E.MEASURED_GOOD): _S.PROGRESSING,
    (_S.AWAITING_APPROVAL, _E.APPROVE): _S.PROGRESSING,
    (_S.INCONCLUSIVE, _E.RETRY): _S.PROGRESSING,
    (_S.INCONCLUSIVE, _E.RESUME): _S.PROGRESSING,
    (_S.PROMOTING, _E.ARRIVED): _S.PROMOTED,
    # The watch goes on in this state, and ends in it.
    (_S.PROMOTED, _E.PROMOTE): _S.PROMOTED,
    (_S.PROMOTED, _E.ELAPSED): _S.PROMOTED,
    (_S.PROGRESSING, _E.PAUSE): _S.PAUSED,
    (_S.ANALYSING, _E.PAUSE): _S.PAUSED,
    (_S.PAUSED, _E.PAUSE): _S.PAUSED,
}

_BACK = {
    (_S.PENDING, _E.ABORT): _S.ABORTED,
    (_S.PENDING, _E.OVERTAKEN): _S.ABORTED,
    (_S.PENDING, _E.DEADLINE): _S.FAILED,
    (_S.PENDING, _E.REFUSED): _S.FAILED,
    (_S.PROMOTED, _E.ABORT): _S.ROLLING_BACK,
    (_S.PROMOTED, _E.OVERTAKEN): _S.ABORTED,
    (_S.PROMOTED, _E.MEASURED_BAD): _S.ROLLING_BACK,
    (_S.PROMOTED, _E.BUDGET_SPENT): _S.ROLLING_BACK,
    (_S.ROLLING_BACK, _E.ABORT): _S.ROLLING_BACK,
    (_S.ROLLING_BACK, _E.OVERTAKEN): _S.ABORTED,
    (_S.ROLLING_BACK, _E.RETURNED): _S.ROLLED_BACK,
    (_S.ROLLING_BACK, _E.RETURNED_ABORTED): _S.ABORTED,
    (_S.ROLLING_BACK, _E.RETURNED_FAILED): _S.FAILED,
    # Once more around: the same rollout begins anew.
    (_S.ROLLED_BACK, _E.RETRY): _S.PENDING,
    (_S.ABORTED, _E.RETRY): _S.PENDING,
    (_S.FAILED, _E.RETRY): _S.PENDING,
}


def _table() -> dict[tuple[State, Event], State]:
    table = {**_FORWARD, **_BACK}
    for state in _STEPPING:
        table |= {
            (state, _E.SKIP): _S.PROGRESSING,
            (state, _E.PROMOTE): _S.PROMOTING,
            (state, _E.MEASURED_BAD): _S.ROLLING_BACK,
            (state, _E.BUDGET_LOST): _S.INCONCLUSIVE,
        }
        if state is not _S.INCONCLUSIVE:  # which stays so until a person says something
            table |= {(state, event): _S.INCONCLUSIVE for event in (_E.NOT_MEASURED, _E.UNDECIDED)}
    for state in _UNDER_WAY:
        table |= {
            (state, _E.BUDGET_SPENT): _S.ROLLING_BACK,
            (state, _E.ABORT): _S.ROLLING_BACK,
            (state, _E.OVERTAKEN): _S.ABORTED,
        }
    table[_S.PROMOTED, _E.BUDGET_LOST] = _S.INCONCLUSIVE
    for state in (_S.PREPARING, _S.PROGRESSING, _S.ANALYSING, _S.PROMOTING):
        table |= {(state, _E.DEADLINE): _S.ROLLING_BACK, (state, _E.REFUSED): _S.ROLLING_BACK}
    return table


TABLE = _table()
"""(state, event) -> state."""


class IllegalTransitionError(ConflictError):
    """The rollout is in no state for that; the message says in which it stands."""


def after(state: State, event: Event) -> State:
    """The state that an event leads to.

    Raises:
        IllegalTransitionError: nothing of the kind can happen in that state.
    """
    found = TABLE.get((state, event))
    if found is None:
        raise IllegalTransitionError(
            f"a rollout that is {state} cannot {_WORDS.get(event, f'meet {event}')}"
        )
    return found


_WORDS = {
    Event.APPROVE: "be approved: it waits for nobody",
    Event.PROMOTE: "be promoted",
    Event.SKIP: "skip a step",
    Event.PAUSE: "be paused",
    Event.RESUME: "be resumed: it is not paused",
    Event.ABORT: "be aborted",
    Event.RETRY: "be tried again",
}

"""What a rollout's decision looks at, frozen, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from control_plane.domain.analysis.looks import Phase
from control_plane.domain.analysis.template import OnInconclusive
from control_plane.domain.rollout.states import Event, State
from control_plane.domain.rollout.steps import Kind, Strategy

LOOK = timedelta(seconds=1)
"""How long it is to the next look, unless something happens before."""


@dataclass(frozen=True)
class Arrival:
    """How far the policy that was written last has come on the servers that can be reached.

    `refused` is why one of them cannot carry it out, `waiting` names those that have not yet.
    """

    arrived: bool
    refused: str = ""
    waiting: str = ""


@dataclass(frozen=True)
class Measured:
    """Where one analysis run stands; `counts` False: its verdict decides nothing (a dry run)."""

    template: str
    phase: Phase
    reason: str
    on_inconclusive: OnInconclusive = OnInconclusive.PAUSE
    counts: bool = True


@dataclass(frozen=True)
class Harm:
    """What the routers were allowed, what failed, and what they still allow.

    `left` None: not known yet. Where it is 0 and less failed than was granted, servers were
    started anew, and what they had left counts as spent.
    """

    granted: int
    failed: int
    left: int | None

    @property
    def spent(self) -> bool:
        return self.granted > 0 and self.failed >= self.granted

    @property
    def lost(self) -> bool:
        return self.granted > 0 and self.left == 0 and not self.spent


@dataclass(frozen=True)
class Share:
    """The candidate's share while the evidence chooses it, in parts per 10,000.

    `allowed` None: the present one is too young for another. `why` says why it is not more.
    """

    present: int
    allowed: int | None = None
    why: str = ""

    @property
    def changes(self) -> bool:
        """Whether another share is worth a switch: a quarter more, or a fifth less."""
        if self.allowed is None or self.allowed == self.present:
            return False
        return self.allowed >= 1.25 * self.present or self.allowed <= 0.8 * self.present


@dataclass(frozen=True)
class Snapshot:
    """Everything the decision looks at.

    `runs` are those of the present step, or of the watch. `second_person` says that the
    four-eyes rule holds and nobody approved it yet; `written` that the step's policy is the
    intent; `watch` is how long it is watched once it is promoted.
    """

    state: State
    what: str
    strategy: Strategy
    step: int
    now: datetime
    arrival: Arrival
    runs: tuple[Measured, ...] = ()
    harm: Harm = Harm(0, 0, None)
    share: Share = Share(0)
    written: bool = False
    twin: bool = False
    second_person: bool = False
    held_by: str = ""
    pause_until: datetime | None = None
    deadline_at: datetime | None = None
    watch: timedelta = timedelta()
    watch_until: datetime | None = None
    ending: State = State.ROLLED_BACK

    @property
    def late(self) -> bool:
        return self.deadline_at is not None and self.now >= self.deadline_at

    @property
    def blue_green(self) -> bool:
        return self.strategy.kind is Kind.BLUE_GREEN


class Do(StrEnum):
    """What a look may do; each is written in the transaction of its decision."""

    PREPARE = "prepare"
    PREPARE_ALONE = "prepare without a twin"
    SPLIT = "split"
    FIRST_SHARE = "first share"
    NEXT_SHARE = "next share"
    WATCH = "watch"
    PROMOTE = "promote"
    TAKE_BACK = "take back"
    RESTORE = "restore"
    MEASURE = "measure"
    STOP_MEASURING = "stop measuring"
    FINISH = "finish"


@dataclass(frozen=True)
class Decision:
    """What happens now, why, and until when nothing else does by itself.

    `event` None: the state stays. `step` is the step it goes to, None the present one.
    `pause_until` and `watch_until` are set by the events that begin a pause or the watch;
    `deadline` is anew where something is begun that has to get somewhere; `share` is the next one
    where the evidence chooses it.
    """

    reason: str
    event: Event | None = None
    actions: tuple[Do, ...] = ()
    step: int | None = None
    pause_until: datetime | None = None
    watch_until: datetime | None = None
    ending: State | None = None
    deadline: bool = False
    share: int | None = None

    @property
    def rests(self) -> bool:
        """Whether there is nothing to do before the next look."""
        return self.event is None and not self.actions

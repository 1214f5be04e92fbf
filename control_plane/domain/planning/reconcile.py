"""What to do next for an endpoint, decided from a frozen snapshot.

Prepare on every server, then switch every router, then retire what nothing uses: a server
that fails to prepare stops the switch everywhere, so the old traffic goes on. A server that the
endpoint is placed on no longer keeps its router until all the others serve.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

COMMAND_EXPIRY = timedelta(seconds=20)
"""After this long without an observation a command counts as lost and is sent again."""

RETRY_FAILED = timedelta(seconds=30)
"""How long a failed preparation rests before it is tried again."""

LEAVE_GRACE = timedelta(seconds=15)
"""How long a router stays on a server that is left, once the others serve and it is told: until
then its node has heard of it, and whoever balances has looked at its gate."""

SEQUENCES_MAY_TAKE = timedelta(minutes=5)
"""How long the removal of a router waits for the live sequences that it holds to an arm."""

LOOK_AT_TROUBLE = timedelta(seconds=2)
"""How often a server is looked at that is bringing its models back."""


class Status(StrEnum):
    """The endpoint's condition, in the words people see."""

    UNCONFIGURED = "Unconfigured"
    PROGRESSING = "Progressing"
    HEALTHY = "Healthy"
    DEGRADED = "Degraded"


class Verb(StrEnum):
    """What a reconcile may do; each is idempotent."""

    COMPILE = "compile"
    PREPARE = "prepare"
    SWITCH = "switch"
    RETIRE = "retire"
    LEAVE = "leave"
    STAY = "stay"
    REMOVE = "remove"
    FORGET = "forget"


@dataclass(frozen=True)
class Action:
    """One step; `server` is empty for what concerns no single server."""

    verb: Verb
    server: str = ""


@dataclass(frozen=True)
class ServerView:
    """What one server was last observed to hold for this endpoint.

    Generations are 0 where nothing was observed; `ready_models` are physical names; `unready`
    is the generation whose switch found an arm that was not ready;
    `trouble` is why its Triton does not serve everything it should, empty when it does;
    `placed`: the endpoint shall be there; `leaving_at` is since when it is told that it is left.
    `by_gate`: callers find the endpoint by the gate of this server, which is being drained;
    `gate_shut_at` is since when that is to be closed: when all that is there is left.
    """

    name: str
    alive: bool
    placed: bool = True
    trouble: str = ""
    prepared: int = 0
    switched: int = 0
    retired: int = 0
    failed: int = 0
    failure: str = ""
    failed_at: datetime | None = None
    ready_models: frozenset[str] = frozenset()
    unready: int = 0
    sent_verb: str = ""
    sent_generation: int = 0
    sent_at: datetime | None = None
    leaving_at: datetime | None = None
    by_gate: bool = False
    gate_shut_at: datetime | None = None

    @property
    def shut_since(self) -> datetime | None:
        """Since when whoever balances is told to send nothing there; None: it may still."""
        return self.gate_shut_at if self.leaving_at and self.by_gate else self.leaving_at

    @property
    def holds(self) -> bool:
        """A command on its way counts: its node may hold something before it says so."""
        return bool(self.switched or self.prepared or self.sent_generation)


@dataclass(frozen=True)
class Snapshot:
    """Everything the decision looks at.

    `models` are the physical names that the switch waits for. What is `urgent` is switched to
    at once: only a node that then finds nothing to switch to prepares first. `unplaced` says what
    of the placement is not as it was wanted.
    """

    endpoint: str
    generation: int
    now: datetime
    servers: tuple[ServerView, ...]
    compiled: bool = False
    compile_error: str = ""
    models: frozenset[str] = frozenset()
    urgent: bool = False
    deleted: bool = False
    unplaced: str = ""


@dataclass(frozen=True)
class Decision:
    """Status and reason in words, what to do now, and when to look again.

    `refused`: this change cannot be carried out as things are; what served before goes on.
    """

    status: Status
    reason: str
    actions: tuple[Action, ...] = ()
    look_again_in: timedelta | None = None
    converged: bool = False
    refused: bool = False


def decide(snapshot: Snapshot) -> Decision:
    """The next steps for one endpoint."""
    decision = _decide(snapshot)
    back = () if snapshot.deleted else _taken_back(snapshot)
    return replace(decision, actions=back + decision.actions) if back else decision


def _decide(snapshot: Snapshot) -> Decision:
    if snapshot.deleted:
        return _removal(snapshot)
    if snapshot.generation == 0:
        return Decision(Status.UNCONFIGURED, "no routing policy yet", converged=True)
    if snapshot.compile_error:
        return Decision(Status.DEGRADED, snapshot.compile_error, converged=True, refused=True)
    if not snapshot.compiled:
        return Decision(Status.PROGRESSING, "compiling", (Action(Verb.COMPILE),))
    if not snapshot.servers:
        return Decision(Status.DEGRADED, "no server is registered", look_again_in=COMMAND_EXPIRY)
    placed = [server for server in snapshot.servers if server.placed]
    alive = [server for server in placed if server.alive] or _stand_ins(snapshot)
    if not alive and not placed:
        return _nowhere(snapshot)
    if not alive:
        names = ", ".join(server.name for server in placed)
        reason = f"no server is reachable ({names}); what they hold goes on serving"
        return Decision(Status.DEGRADED, reason, look_again_in=COMMAND_EXPIRY)
    asked = alive + [server for server in _still_asked(snapshot) if server not in alive]
    if failed := [server for server in asked if server.failed == snapshot.generation]:
        return _failed(snapshot, failed)
    if waiting := [server for server in asked if not _prepared(server, snapshot)]:
        return _send(Verb.PREPARE, "preparing", waiting, snapshot)
    if waiting := [s for s in _routing(asked, snapshot) if s.switched < snapshot.generation]:
        return _send(Verb.SWITCH, "switching", waiting, snapshot)
    return _settled(snapshot, placed, alive)


def _stand_ins(snapshot: Snapshot) -> list[ServerView]:
    """Those that serve although they are left: where nobody else does, they are changed, too."""
    return [s for s in snapshot.servers if s.alive and not s.placed and s.switched]


def _still_asked(snapshot: Snapshot) -> list[ServerView]:
    """Those that are left, and for longer than a move takes asked all the same.

    Because some of the others are away, or because the gate stays open for what else is there.
    """
    away = any(s.placed and (not s.alive or s.trouble) for s in snapshot.servers)
    open_still = [server for server in _stand_ins(snapshot) if server.shut_since is None]
    return [server for server in open_still if away or server.leaving_at]


def _taken_back(snapshot: Snapshot) -> tuple[Action, ...]:
    """Where the others serve no longer, who was told that it is left is told that it stays.

    Not where its removal is on its way already: that one serves no more.
    """
    placed = [server for server in snapshot.servers if server.placed]
    away = any(not server.alive or server.trouble for server in placed)
    if not away and any(server.switched for server in placed):
        return ()
    return tuple(
        Action(Verb.STAY, server.name)
        for server in snapshot.servers
        if not server.placed and server.leaving_at and server.sent_verb != Verb.REMOVE
    )


def _prepared(server: ServerView, snapshot: Snapshot) -> bool:
    """True when every arm is loaded there: a change of weights alone prepares nothing."""
    if snapshot.urgent and server.unready < snapshot.generation:
        return True
    return server.prepared >= snapshot.generation or snapshot.models <= server.ready_models


def _nowhere(snapshot: Snapshot) -> Decision:
    reason = f"placed nowhere: {snapshot.unplaced}" if snapshot.unplaced else "placed nowhere"
    return Decision(Status.DEGRADED, reason, look_again_in=COMMAND_EXPIRY)


def _routing(alive: list[ServerView], snapshot: Snapshot) -> list[ServerView]:
    """Those whose routers a switch goes to: what is urgent reaches also those that are left."""
    if not snapshot.urgent:
        return alive
    return alive + [server for server in _stand_ins(snapshot) if server not in alive]


def _failed(snapshot: Snapshot, failed: list[ServerView]) -> Decision:
    due = [server for server in failed if _rested(server, snapshot.now)]
    reason = "; ".join(f"{server.name}: {server.failure}" for server in failed)
    actions = tuple(Action(Verb.PREPARE, server.name) for server in due)
    kept = f"{reason}. The traffic before this change goes on; trying again"
    return Decision(Status.DEGRADED, kept, actions, look_again_in=RETRY_FAILED, refused=True)


def _rested(server: ServerView, now: datetime) -> bool:
    """True when neither the failure nor a retry of it is fresh."""
    moments = [moment for moment in (server.failed_at, server.sent_at) if moment]
    return not moments or abs(now - max(moments)) >= RETRY_FAILED


def _send(verb: Verb, doing: str, waiting: list[ServerView], snapshot: Snapshot) -> Decision:
    names = ", ".join(server.name for server in waiting)
    actions = _unsent(verb, waiting, snapshot)
    return Decision(
        Status.PROGRESSING, f"{doing} on {names}", actions, look_again_in=COMMAND_EXPIRY
    )


def _lost_or_unsent(server: ServerView, verb: Verb, snapshot: Snapshot) -> bool:
    same = server.sent_verb == verb and server.sent_generation == snapshot.generation
    if not same or server.sent_at is None:
        return True
    # What was sent that far ahead was sent before the clock was set back.
    return abs(snapshot.now - server.sent_at) >= COMMAND_EXPIRY


def _settled(snapshot: Snapshot, placed: list[ServerView], alive: list[ServerView]) -> Decision:
    """Every server that can be reached has switched: tidying up, and what is not as it should."""
    away = [server.name for server in placed if not server.alive]
    troubled = [f"{server.name}: {server.trouble}" for server in alive if server.trouble]
    left = [s for s in snapshot.servers if s.holds and not s.placed and s not in alive]
    actions = _unsent(Verb.RETIRE, [s for s in alive if s.retired < snapshot.generation], snapshot)
    if placed and not away and not troubled:
        actions += _leave(left, snapshot)
    untidy = any(server.retired < snapshot.generation for server in alive)
    again = COMMAND_EXPIRY if untidy or away or snapshot.unplaced else None
    if left:
        again = LOOK_AT_TROUBLE
    sound = [server.name for server in alive if not server.trouble]
    serving = f"serving on {', '.join(sound)}" if sound else ""
    if away:
        reason = f"{serving or 'serving'}, but not reachable: {', '.join(away)}"
        return Decision(Status.DEGRADED, reason, actions, again, converged=False)
    if troubled:
        # The intent is there; what serves it is being brought back by its node.
        reason = "; ".join([serving, *troubled] if serving else troubled)
        return Decision(Status.DEGRADED, reason, actions, LOOK_AT_TROUBLE, converged=True)
    if snapshot.unplaced:
        reason = f"{serving}; {snapshot.unplaced}"
        return Decision(Status.DEGRADED, reason, actions, again, converged=True)
    if lost := [server.name for server in left if not server.alive]:
        reason = f"{serving}; still on {', '.join(lost)}, not reachable"
        return Decision(Status.DEGRADED, reason, actions, again, converged=True)
    if left:
        serving += f"; leaving {', '.join(server.name for server in left)}"
    # Retiring and leaving are tidying up: the intent serves already.
    return Decision(Status.HEALTHY, serving, actions, again, converged=True)


def _leave(left: list[ServerView], snapshot: Snapshot) -> tuple[Action, ...]:
    """All the others serve: it is told which servers are left, and after a while they are.

    A router that callers find by its server's gate stays until that has been closed for a while:
    what else is there may take longer to be served elsewhere.
    """
    told = tuple(Action(Verb.LEAVE, server.name) for server in left if server.leaving_at is None)
    due = [
        server
        for server in left
        if server.alive and (since := server.shut_since) and snapshot.now - since >= LEAVE_GRACE
    ]
    return told + _unsent(Verb.REMOVE, due, snapshot)


def _unsent(verb: Verb, servers: list[ServerView], snapshot: Snapshot) -> tuple[Action, ...]:
    return tuple(
        Action(verb, server.name) for server in servers if _lost_or_unsent(server, verb, snapshot)
    )


def _removal(snapshot: Snapshot) -> Decision:
    holding = [server for server in snapshot.servers if server.holds]
    reachable = [server for server in holding if server.alive]
    if not holding:
        return Decision(
            Status.PROGRESSING, "removed everywhere", (Action(Verb.FORGET),), converged=True
        )
    if not reachable:
        names = ", ".join(server.name for server in holding)
        reason = f"waiting to be removed from {names}, not reachable"
        return Decision(Status.DEGRADED, reason, look_again_in=COMMAND_EXPIRY)
    return _send(Verb.REMOVE, "removing", reachable, snapshot)

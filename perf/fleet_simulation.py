"""A fleet's control plane in memory, for `perf.reconcile_load`: its queue, its sweeps, its nodes.

What is decided at a look is decided by `domain.planning.reconcile.decide`, the control plane's own;
when an endpoint is due is `endpoints.selectors.due_endpoints` in memory; sweeps, expiries and the
lanes of nodes are those of `workers.schedule` and `adapters.queue`.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from control_plane.domain.planning.reconcile import (
    Action,
    ServerView,
    Snapshot,
    Status,
    Verb,
    decide,
)

SWEEP_S = 2.0
IN_TURN = 20
"""`endpoints.touching.A_SWEEP`."""

SILENT_AFTER_S = 15.0
"""A server that was not heard of for so long counts as not reachable."""

COMMAND_EXPIRY_S = 20.0
LANES = {Verb.PREPARE: 2, Verb.RETIRE: 2, Verb.SWITCH: 2}
"""How many commands a node's lanes carry out at a time; retiring travels with preparing."""

ZERO = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT_S = 1800.0
"""A scenario that has not settled in half an hour does not settle."""


@dataclass(frozen=True)
class Fleet:
    """What is simulated: sizes, and seconds of work."""

    servers: int = 100
    endpoints: int = 10_000
    replicas: int = 3
    look_s: float = 0.013
    sweep_s: float = 0.0014 / 1000
    prepare_s: float = 1.0
    switch_s: float = 0.05

    def takes(self, verb: Verb) -> float:
        return self.prepare_s if verb == Verb.PREPARE else self.switch_s


@dataclass
class Endpoint:
    """What the control plane knows of one; `views` are its servers as they were last observed."""

    views: dict[int, ServerView]
    models: frozenset[str]
    generation: int = 1
    observed: int = 1
    status: Status = Status.HEALTHY
    look_at: float = float("inf")
    leased: bool = False
    look_again: bool = False
    changed_at: float | None = None
    touched: bool = False
    placed_at_change: int = 0


@dataclass(frozen=True)
class Message:
    """A task in the queue of the control plane: a look, or the sweep (no endpoint)."""

    endpoint: int | None
    expires_at: float


@dataclass
class Figures:
    """What became of one scenario."""

    scenario: str
    workers: int
    looks: int = 0
    longest_queue: int = 0
    busy_s: float = 0.0
    settled_s: float | None = None
    took_s: list[float] = field(default_factory=list)


@dataclass
class Lane:
    """Commands that wait for a node, with when they expire, and how many it can begin."""

    free: int
    waiting: deque[tuple[float, Callable[[], None]]] = field(default_factory=deque)


class Simulation:
    """One scenario with so many workers, from a fleet that serves what it should."""

    def __init__(self, fleet: Fleet, scenario: str, workers: int, *, seed: int = 1) -> None:
        self.fleet = fleet
        self.figures = Figures(scenario, workers)
        self.chance = random.Random(seed)
        self.now = 0.0
        self.away: set[int] = set()
        self.troubled: set[int] = set()
        self.fleet_changes = 0
        self.broker_up = True
        self.loss = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._idle = workers
        self._queue: deque[Message] = deque()
        self._lanes: dict[
            tuple[int, str], tuple[deque[tuple[float, Callable[[], None]]], list[int]]
        ]
        self._lanes = {}
        self.endpoints = [self._served(i) for i in range(fleet.endpoints)]

    def _served(self, number: int) -> Endpoint:
        first = number % self.fleet.servers
        step = max(1, self.fleet.servers // self.fleet.replicas)
        places = {(first + k * step) % self.fleet.servers for k in range(self.fleet.replicas)}
        models = frozenset({"a", "b"})
        view = ServerView("", alive=True, prepared=1, switched=1, retired=1, ready_models=models)
        return Endpoint({one: replace(view, name=str(one)) for one in places}, models)

    def at(self, moment: float, do: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (moment, self._number, do))

    def run(self, since: float) -> Figures:
        """Runs until every endpoint serves what is wanted, counted from `since`."""
        self.at(0.0, self._tick)
        while self._events and self.now < LIMIT_S:
            self.now, _, do = heapq.heappop(self._events)
            do()
            if self.now > since and not self._queue and self._is_settled():
                self.figures.settled_s = self.now - since
                break
        return self.figures

    def _is_settled(self) -> bool:
        if self.away or self.troubled or not self.broker_up or self._idle < self.figures.workers:
            return False
        return all(
            one.status == Status.HEALTHY and one.generation == one.observed and not one.touched
            for one in self.endpoints
        )

    def send(self, endpoint: int | None, expires_in: float = float("inf")) -> None:
        if not self.broker_up or self.chance.random() < self.loss:
            return
        self._queue.append(Message(endpoint, self.now + expires_in))
        self.figures.longest_queue = max(self.figures.longest_queue, len(self._queue))
        self._work()

    def lose_everything(self) -> None:
        """The broker is gone, with all that waited in it."""
        self.broker_up = False
        self._queue.clear()
        for lane in self._lanes.values():
            lane.waiting.clear()

    def _tick(self) -> None:
        self.send(None, SWEEP_S)
        self.at(self.now + SWEEP_S, self._tick)

    def _work(self) -> None:
        while self._idle and self._queue:
            message = self._queue.popleft()
            if message.expires_at < self.now:
                continue
            if message.endpoint is None:
                self._occupy(self.fleet.sweep_s * self.fleet.endpoints, self._sweep)
                continue
            one = self.endpoints[message.endpoint]
            if one.leased:
                one.look_again = True
                continue
            one.leased = True
            self._begin_look(message.endpoint)

    def _begin_look(self, number: int) -> None:
        self.endpoints[number].look_again = False
        self.figures.looks += 1
        self._occupy(self.fleet.look_s, lambda: self._look(number))

    def _occupy(self, seconds: float, then: Callable[[], None]) -> None:
        self._idle -= 1
        self.figures.busy_s += seconds

        def end() -> None:
            self._idle += 1
            then()
            self._work()

        self.at(self.now + seconds, end)

    def _sweep(self) -> None:
        in_turn = IN_TURN
        for number, one in enumerate(self.endpoints):
            if one.leased:
                continue
            behind = one.placed_at_change != self.fleet_changes
            if self._is_due(one):
                self.send(number)
            elif behind and in_turn:
                in_turn -= 1
                self.send(number)

    def _is_due(self, one: Endpoint) -> bool:
        if one.generation != one.observed or one.look_again or one.look_at <= self.now:
            return True
        if one.touched:
            return True
        concerned = not one.views.keys().isdisjoint(self.away | self.troubled)
        return one.status == Status.HEALTHY and concerned

    def _look(self, number: int) -> None:
        one = self.endpoints[number]
        decision = decide(self._snapshot(number))
        one.status = decision.status
        one.placed_at_change, one.touched = self.fleet_changes, False
        again = decision.look_again_in
        one.look_at = self.now + again.total_seconds() if again else float("inf")
        if decision.converged:
            if one.generation != one.observed and one.changed_at is not None:
                self.figures.took_s.append(self.now - one.changed_at)
            one.observed = one.generation
        for action in decision.actions:
            self._command(number, action)
        if one.look_again:
            self._begin_look(number)
        else:
            one.leased = False

    def _snapshot(self, number: int) -> Snapshot:
        one = self.endpoints[number]
        views = tuple(
            view
            if server not in self.away and server not in self.troubled
            else replace(
                view,
                alive=server not in self.away,
                trouble="bringing back" if server in self.troubled else "",
            )
            for server, view in one.views.items()
        )
        now = ZERO + timedelta(seconds=self.now)
        return Snapshot(str(number), one.generation, now, views, compiled=True, models=one.models)

    def _command(self, number: int, action: Action) -> None:
        server, one = int(action.server), self.endpoints[number]
        one.views[server] = replace(
            one.views[server],
            sent_verb=action.verb,
            sent_generation=one.generation,
            sent_at=ZERO + timedelta(seconds=self.now),
        )
        if not self.broker_up or self.chance.random() < self.loss:
            return
        name = "switch" if action.verb == Verb.SWITCH else "prepare"
        lane = self._lanes.setdefault((server, name), Lane(LANES[action.verb]))
        expires = self.now + COMMAND_EXPIRY_S
        lane.waiting.append((expires, lambda: self._carry_out(number, server, action.verb, lane)))
        self._drive(lane)

    def _drive(self, lane: Lane) -> None:
        while lane.free and lane.waiting:
            expires_at, begin = lane.waiting.popleft()
            if expires_at >= self.now:
                lane.free -= 1
                begin()

    def _carry_out(self, number: int, server: int, verb: Verb, lane: Lane) -> None:
        one, generation = self.endpoints[number], self.endpoints[number].generation
        held = verb == Verb.PREPARE and one.views[server].prepared >= generation

        def end() -> None:
            lane.free += 1
            one.views[server] = _done(one.views[server], verb, generation, one.models)
            self.send(number)
            self._drive(lane)

        self.at(self.now + (0.0 if held else self.fleet.takes(verb)), end)

    def change_server(self, server: int | None) -> None:
        """Something of a server changed that placements look at: its labels, its memory, a cordon.

        None: one that joined, where replicas are placed as wanted, and nobody is yet.
        """
        self.fleet_changes += 1
        for one in self.endpoints:
            one.touched = one.touched or server in one.views

    def change(self, number: int, *, models: bool) -> None:
        """Somebody writes a policy: of weights alone, or with models that nothing has loaded."""
        one = self.endpoints[number]
        one.generation += 1
        one.changed_at = self.now
        if models:
            one.models = frozenset({f"a{one.generation}", f"b{one.generation}"})
        self.send(number)


def _done(view: ServerView, verb: Verb, generation: int, models: frozenset[str]) -> ServerView:
    """The server as it is observed after a command."""
    if verb == Verb.PREPARE:
        return replace(view, prepared=generation, ready_models=models)
    if verb == Verb.SWITCH:
        return replace(view, switched=generation)
    return replace(view, retired=generation)

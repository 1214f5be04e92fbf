"""One fault under load, and what it did: requests, acknowledged changes, time, what was left."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from tests.chaos.changes import CHANGED, ROLLED, Changes
from tests.chaos.convergence import converge
from tests.chaos.faults import Fault, Stage
from tests.chaos.load import Callers, Target
from tests.chaos.orphans import gates, generations, orphans
from tests.support.serving import ServingStack

CALM_S = 1.0
PATIENCE_S = 180.0
TIDY_S = 120.0


@dataclass
class Outcome:
    """What one run of a fault did. `seconds` from the end of the fault until all served again."""

    fault: str
    requests: int = 0
    retried: int = 0
    failures: list[str] = field(default_factory=list)
    changes: int = 0
    lost: list[str] = field(default_factory=list)
    seconds: float | None = None
    left: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def held(self) -> bool:
        """Nothing is said by a run in which nobody called."""
        broken = self.failures or self.lost or self.left or self.problem
        return self.requests > 0 and not broken


class Trial:
    """A stack under load and under change, to which faults are done one after the other."""

    def __init__(self, stack: ServingStack, callers: Callers, changes: Changes, seed: int) -> None:
        self._stack, self._callers, self._changes = stack, callers, changes
        self._dice = random.Random(seed)
        self._number = self._dice.randrange(3)

    def run(self, fault: Fault) -> Outcome:
        """Does it once, and waits until everything is as it was."""
        self._number += 1
        stage = Stage(self._stack, self._changes, self._dice, self._number)
        known = len(self._changes.accepted) + len(self._changes.rollouts)
        self._callers.drain()
        time.sleep(CALM_S)
        outcome = Outcome(fault.name)
        began = time.monotonic()
        try:
            fault.do(stage)
            began = time.monotonic()
            time.sleep(CALM_S)  # changes go on, accepted or not, while things come back
            with self._changes.at_rest():
                generation = self._changes.put_until_accepted().generation
                outcome.problem = self._converges(generation, began + PATIENCE_S)
                outcome.seconds = None if outcome.problem else time.monotonic() - began
                outcome.left = self._tidies()
                outcome.lost = self._changes.lost()
        except (AssertionError, httpx.HTTPError, psutil.Error, OSError) as error:
            outcome.problem = outcome.problem or f"{type(error).__name__}: {error}"
        outcome.changes = len(self._changes.accepted) + len(self._changes.rollouts) - known
        if not self._changes.goes_on:
            outcome.problem = outcome.problem or "whoever changes policies and versions gave up"
        counted = self._callers.drain()
        outcome.requests, outcome.retried = counted.requests, counted.retried
        outcome.failures = counted.failures
        return outcome

    def _converges(self, generation: int, deadline: float) -> str:
        """Waits for it; why it does not in time."""
        said = "nothing was seen"
        while time.monotonic() < deadline:
            said = self._behind(generation)
            if not said:
                return ""
            time.sleep(0.1)
        return said

    def _behind(self, generation: int) -> str:
        try:
            with self._stack.client() as client:
                seen = client.get(f"/endpoints/{CHANGED}/").raise_for_status().json()
        except (httpx.HTTPError, OSError, ValueError) as error:
            return f"the API: {error!r}"
        dead = [name for name, pid in self._stack.pids.items() if not psutil.pid_exists(pid)]
        if dead:
            return f"not running: {', '.join(dead)}"
        there = (seen["status"], seen["observed_generation"])
        if there[0] != "Healthy" or there[1] < generation:
            return f"{CHANGED} is {there}: {seen['reason']}"
        if closed := gates(self._stack):
            return "; ".join(closed)
        serving = generations(self._stack, CHANGED)
        if set(serving.values()) != {there[1]}:
            return f"{CHANGED} serves {serving}, and {there[1]} is wanted"
        return ""

    def _tidies(self) -> list[str]:
        """What is left when everybody had the time to tidy up."""
        deadline, left = time.monotonic() + TIDY_S, ["nothing was seen"]
        while time.monotonic() < deadline:
            try:
                left = self._changes.unfinished() or orphans(self._stack)
            except httpx.HTTPError as error:
                left = [repr(error)]
            if not left:
                return []
            time.sleep(0.5)
        return left


@contextlib.contextmanager
def under_load(home: Path, *, servers: int, seed: int, edge: bool = False) -> Iterator[Trial]:
    """A stack of its own with so many servers, called and changed until the end of the block."""
    with called(home, servers=servers, edge=edge) as (stack, callers, changes), changes.going_on():
        yield Trial(stack, callers, changes, seed)


@contextlib.contextmanager
def called(
    home: Path, *, servers: int, edge: bool
) -> Iterator[tuple[ServingStack, Callers, Changes]]:
    """A stack of its own, called until the end of the block; nothing is changed by itself."""
    stack = ServingStack(home, servers=servers, edge=edge)
    stack.start()
    try:
        changes = Changes(stack)
        converge(stack, changes.put().generation)
        _prepare_rolled(stack)
        callers = Callers(_targets(stack, edge=edge), (CHANGED, ROLLED))
        with callers.calling():
            yield stack, callers, changes
    finally:
        stack.stop()


def _targets(stack: ServingStack, *, edge: bool) -> dict[str, Target]:
    if edge:
        said = stack.edge
        return {"edge": Target(said["http"].removeprefix("http://"), said["grpc"])}
    return {
        name: Target(server["http"], server["grpc"], server["gate"])
        for name, server in stack.servers.items()
    }


def _prepare_rolled(stack: ServingStack) -> None:
    with stack.client() as client:
        client.post("/endpoints/", json={"name": ROLLED}).raise_for_status()
        arms: Sequence[dict[str, object]] = [{"model": "digits", "version": 1, "weight": 100}]
        answer = client.put(
            f"/endpoints/{ROLLED}/policy/", json={"arms": arms}, headers={"If-Match": "*"}
        )
        generation = answer.raise_for_status().json()["generation"]
        deadline = time.monotonic() + 60
        while True:
            seen = client.get(f"/endpoints/{ROLLED}/").json()
            if seen["status"] == "Healthy" and seen["observed_generation"] >= generation:
                return
            assert time.monotonic() < deadline, seen["reason"]
            time.sleep(0.1)

"""What a node does to its own Triton: prepare, switch, retire, remove, restore.

No Django here: a node brings its Triton back with the database and the broker down.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from control_plane.domain.planning.plan import Plan
from control_plane.fleet.golden import GoldenCheck
from control_plane.fleet.loading import SERVING_ERRORS, Loading, PrepareFailedError
from control_plane.fleet.node_state import EndpointState, NodeState
from control_plane.fleet.retiring import RETIRE_LOCK, Retiring, StillBusyError
from control_plane.ports.inference import TritonInference
from control_plane.ports.repository import ModelRepository
from control_plane.ports.triton import TritonControl, TritonError, TritonMetrics

logger = logging.getLogger(__name__)


class StaleCommandError(RuntimeError):
    """A command older than one this node has seen already: it is refused (fencing).

    `highest` is the generation the node has seen.
    """

    def __init__(self, message: str, highest: int = 0) -> None:
        super().__init__(message)
        self.highest = highest


class AlreadyPreparingError(RuntimeError):
    """The same command is being carried out by another thread of this node."""


class ArmsNotReadyError(RuntimeError):
    """A switch found an arm that is not ready: it has to be prepared (again) first."""


class NodeAgent:
    """One Triton, its repository and this node's memory.

    Commands of one endpoint are serialised by a lock file; every command is idempotent. `name` is
    the server's, by which a plan may speak of it.
    """

    def __init__(
        self,
        *,
        triton: TritonControl,
        metrics: TritonMetrics,
        inference: TritonInference,
        repository: ModelRepository,
        state: NodeState,
        accelerator: str,
        hardware: str = "",
        name: str = "",
    ) -> None:
        self._triton = triton
        self.retiring = Retiring(triton, metrics, repository, state)
        self.loading = Loading(
            triton=triton,
            repository=repository,
            state=state,
            accelerator=accelerator,
            hardware=hardware,
            server=name,
        )
        self._golden = GoldenCheck(inference, triton, repository, accelerator)
        self._repository = repository
        self._state = state
        self._preparing: set[tuple[str, int]] = set()
        self._preparing_lock = threading.Lock()

    def prepare(self, plan: Plan) -> frozenset[str]:
        """Materialises and loads the physical models that the plan requires; touches no router.

        The endpoint's lock is held only to note what is going on: a slow load must not delay
        a switch to something else.

        Returns:
            The physical models that are ready here for this endpoint.

        Raises:
            StaleCommandError: a newer generation was seen, at the start or meanwhile.
            AlreadyPreparingError: the same command is being carried out.
            PrepareFailedError: with the reason; what was loaded for it alone is unloaded.
        """
        with self._alone(plan):
            self._note_preparing(plan)
            try:
                for model in plan.models:
                    if model.name in plan.required:
                        self.loading.serve(model)
                        self._golden.check(model)
            except SERVING_ERRORS as error:
                self._abandon(plan)
                raise PrepareFailedError(str(error)) from error
            state = self._state.read(plan.endpoint)
            if state.highest > plan.generation:
                self._abandon(plan)
                raise self._stale(plan.endpoint, plan.generation, state.highest)
            return state.needed

    def switch(self, plan: Plan) -> frozenset[str]:
        """Points the router at the plan's arms; those it requires must be ready.

        Returns:
            The physical models that are ready here for this endpoint.

        Raises:
            StaleCommandError: a newer generation was seen.
            ArmsNotReadyError: an arm is not ready here; the router before goes on.
            PrepareFailedError: Triton refuses the router; the router before goes on.
        """
        with self._state.locked(plan.endpoint):
            state = self._fenced(plan.endpoint, plan.generation)
            switched = self._switched(state, plan)
            # Under the lock of the retiring: what is ready now is still there once noted.
            with self._state.locked(RETIRE_LOCK):
                for name in sorted(plan.required):
                    if not self._triton.is_ready(name):
                        raise ArmsNotReadyError(f"{name} is not ready")
                spent = self._spent_grants(state, plan)
                # Written first: a kill in between leaves the newer intent, and the command
                # comes again; a restart of Triton comes up with what was about to serve.
                self._state.write(plan.endpoint, switched)
            try:
                self.loading.load_router(plan, spent)
            except PrepareFailedError:
                self._state.write(plan.endpoint, replace(state, highest=plan.generation))
                raise
            return switched.needed

    def retire(self, endpoint: str, generation: int) -> frozenset[str]:
        """Unloads what no endpoint of this node needs and nothing runs on any more.

        Returns:
            The physical models that stay ready for this endpoint.

        Raises:
            StaleCommandError: a newer generation was seen.
            StillBusyError: something has requests in flight; the rest is retired.
        """
        with self._state.locked(endpoint):
            state = self._fenced(endpoint, generation)
            self._state.write(endpoint, replace(state, highest=generation, preparing=None))
        self.retiring.collect()
        return self._state.read(endpoint).needed

    def remove(self, endpoint: str, generation: int, *, patient: bool = False) -> None:
        """Takes the endpoint's router and everything only it used off this node.

        Args:
            patient: not while its router holds live sequences to an arm.

        Raises:
            StaleCommandError: a newer generation was seen.
            StillBusyError: something has requests in flight; the router is gone already. Or, where
                it is patient, sequences live; nothing is taken off.
        """
        if patient and (live := self.retiring.pinned(endpoint)):
            raise StillBusyError(f"{live} sequences live on {endpoint}")
        with self._state.locked(endpoint):
            self._fenced(endpoint, generation)
            self._triton.unload(endpoint)
            self._repository.remove(endpoint)
            # The fence stays: a late switch must not bring the endpoint back.
            self._state.write(endpoint, EndpointState(highest=generation))
            self._state.found_again(endpoint)
        self.retiring.collect()

    def missing(self) -> list[str]:
        """What Triton should serve and does not, arms before routers.

        Raises:
            TritonUnreachableError: Triton does not answer.
        """
        found: list[str] = []
        ready = self._ready_names()
        for endpoint, state in self._state.seen().items():
            if self._lacks(state, ready):
                # Once more under the lock: a switch notes its plan just before it carries it out.
                with self._state.locked(endpoint):
                    found += self._lacks(self._state.read(endpoint), self._ready_names())
        routers = self._state.seen().keys()
        return sorted(set(found), key=lambda name: (name in routers, name))

    def lacking(self, triton: TritonControl, *, patient: bool) -> list[str]:
        """The same for the gate, which waits for no command and asks a Triton of its own.

        Where it is `patient`, what a command is changing at this moment does not count.

        Raises:
            TritonError: Triton does not answer.
        """
        ready = _ready_in(triton)
        found: list[str] = []
        for endpoint, state in self._state.seen().items():
            if not self._lacks(state, ready) or (patient and self._state.is_locked(endpoint)):
                continue
            found += self._lacks(self._state.read(endpoint), _ready_in(triton))
        return sorted(set(found))

    def serves(self) -> dict[str, int]:
        """The generation that this node's router of each endpoint is at, by its own memory."""
        states = self._state.seen().items()
        return {name: state.desired.generation for name, state in states if state.desired}

    def highest(self) -> dict[str, int]:
        """The highest generation of each endpoint that any command to this node carried."""
        return {name: state.highest for name, state in self._state.seen().items()}

    def _lacks(self, state: EndpointState, ready: frozenset[str]) -> list[str]:
        plan = state.desired
        return [n for n in (*plan.required, plan.endpoint) if n not in ready] if plan else []

    def restore(self, progress: Callable[[str], None] = lambda _: None) -> list[str]:
        """Brings Triton back to what it should serve, from this node's own disk.

        The revision before is brought back too, as the instant way back, and so are arms that
        an urgent plan keeps for it; that they cannot be is no failure. Allowances come back as
        spent: what was left of them is not known, and an arm that takes the server down with it
        would be tried again after every restart.

        Args:
            progress: is told what is being loaded.

        Returns:
            What could not be restored, in words; empty when everything serves.
        """
        failures: list[str] = []
        states = self._state.all()
        for endpoint, state in states.items():
            if state.desired:
                required = state.desired.required
                failures += self._restore_models(state.desired, required, progress)
                failures += self._restore_router(endpoint, progress)
        for state in states.values():
            for plan in (state.desired, state.previous):
                if plan:
                    self._restore_models(plan, plan.physical_names, progress)
        return failures

    def _restore_router(self, endpoint: str, progress: Callable[[str], None]) -> list[str]:
        with self._state.locked(endpoint):
            # Read under the lock: a switch may have come in between.
            plan = self._state.read(endpoint).desired
            ready = self._ready_names()
            if plan is None or endpoint in ready or not plan.required <= ready:
                return []
            progress(endpoint)
            try:
                self.loading.load_router(plan, plan.grants)
            except PrepareFailedError as error:
                return [str(error)]
        return []

    def _spent_grants(self, state: EndpointState, plan: Plan) -> frozenset[str]:
        """The plan's allowances that a Triton started anew has forgotten the use of."""
        seen = [known.grants for known in (state.desired, state.previous) if known]
        used = plan.grants & frozenset().union(*seen)
        # A router that is loaded goes on counting by itself.
        return frozenset() if not used or plan.endpoint in self._ready_names() else used

    def _restore_models(
        self, plan: Plan, names: frozenset[str], progress: Callable[[str], None]
    ) -> list[str]:
        failures = []
        missing = names - self._ready_names()
        for model in plan.models:
            if model.name in missing:
                progress(model.name)
                try:
                    self.loading.serve(model)
                except SERVING_ERRORS as error:
                    failures.append(f"{model.name}: {error}")
        return failures

    def _ready_names(self) -> frozenset[str]:
        return _ready_in(self._triton)

    @contextlib.contextmanager
    def _alone(self, plan: Plan) -> Iterator[None]:
        """Keeps a command that came twice from waiting behind itself on the node's lane."""
        key = (plan.endpoint, plan.generation)
        with self._preparing_lock:
            if key in self._preparing:
                raise AlreadyPreparingError(f"generation {plan.generation} is being prepared")
            self._preparing.add(key)
        try:
            yield
        finally:
            with self._preparing_lock:
                self._preparing.discard(key)

    def _note_preparing(self, plan: Plan) -> None:
        """From here on no retire takes the plan's models away."""
        with self._state.locked(plan.endpoint):
            state = self._fenced(plan.endpoint, plan.generation)
            with self._state.locked(RETIRE_LOCK):
                noted = replace(state, highest=plan.generation, preparing=plan)
                self._state.write(plan.endpoint, noted)

    def _fenced(self, endpoint: str, generation: int) -> EndpointState:
        state = self._state.read(endpoint)
        if generation < state.highest:
            raise self._stale(endpoint, generation, state.highest)
        return state

    def _stale(self, endpoint: str, generation: int, highest: int) -> StaleCommandError:
        return StaleCommandError(
            f"{endpoint}: generation {generation} comes after {highest} was seen", highest
        )

    def _switched(self, state: EndpointState, plan: Plan) -> EndpointState:
        if state.desired and state.desired.generation == plan.generation:
            return replace(state, highest=plan.generation, desired=plan, preparing=None)
        return EndpointState(
            highest=plan.generation, desired=plan, previous=state.desired, preparing=None
        )

    def _abandon(self, plan: Plan) -> None:
        """Forgets a preparation, and unloads what was loaded for it alone."""
        with self._state.locked(plan.endpoint):
            state = self._state.read(plan.endpoint)
            if state.preparing and state.preparing.generation == plan.generation:
                self._state.write(plan.endpoint, replace(state, preparing=None))
        try:
            self.retiring.collect()
        except (TritonError, OSError, StillBusyError) as error:
            logger.warning("%s: could not clean up a preparation: %s", plan.endpoint, error)


def _ready_in(triton: TritonControl) -> frozenset[str]:
    return frozenset(held.name for held in triton.index() if held.state == "READY")

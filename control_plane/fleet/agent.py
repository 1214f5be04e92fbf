"""What a node does to its own Triton: prepare, switch, retire, remove, restore.

No Django here: a node brings its Triton back with the database and the broker down.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from control_plane.domain.planning.plan import ModelDirectory, Plan
from control_plane.domain.routing.compact import with_spent_allowances
from control_plane.fleet.golden import GoldenCheck, GoldenFailedError
from control_plane.fleet.node_state import EndpointState, NodeState
from control_plane.fleet.retiring import RETIRE_LOCK, Retiring, StillBusyError
from control_plane.ports.inference import TritonInference
from control_plane.ports.repository import ModelRepository, PrefixTakenError
from control_plane.ports.triton import TritonControl, TritonError, TritonMetrics

logger = logging.getLogger(__name__)

SERVING_ERRORS = (TritonError, LookupError, OSError, PrefixTakenError, GoldenFailedError)
"""Why a model cannot be served: Triton, an artifact, the disk, a collision, a wrong answer."""


class StaleCommandError(RuntimeError):
    """A command older than one this node has seen already: it is refused (fencing).

    `highest` is the generation the node has seen.
    """

    def __init__(self, message: str, highest: int = 0) -> None:
        super().__init__(message)
        self.highest = highest


class PrepareFailedError(RuntimeError):
    """A model of the plan cannot be served here; what served before goes on."""


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
        self._name = name
        self._triton = triton
        self._retiring = Retiring(triton, metrics, repository, state)
        self._golden = GoldenCheck(inference, triton, repository, accelerator)
        self._repository = repository
        self._state = state
        self._accelerator = accelerator
        self._hardware = hardware
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
                        self._serve(model)
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
                self._load_router(plan, spent)
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
        self._retiring.collect()
        return self._state.read(endpoint).needed

    def remove(self, endpoint: str, generation: int) -> None:
        """Takes the endpoint's router and everything only it used off this node.

        Raises:
            StaleCommandError: a newer generation was seen.
            StillBusyError: something has requests in flight; the router is gone already.
        """
        with self._state.locked(endpoint):
            self._fenced(endpoint, generation)
            self._triton.unload(endpoint)
            self._repository.remove(endpoint)
            # The fence stays: a late switch must not bring the endpoint back.
            self._state.write(endpoint, EndpointState(highest=generation))
        self._retiring.collect()

    def missing(self) -> list[str]:
        """What Triton should serve and does not, arms before routers.

        Raises:
            TritonUnreachableError: Triton does not answer.
        """
        found: list[str] = []
        for endpoint, state in self._state.all().items():
            if self._lacks(state, self._ready_names()):
                # Once more under the lock: a switch notes its plan just before it carries it out.
                with self._state.locked(endpoint):
                    found += self._lacks(self._state.read(endpoint), self._ready_names())
        routers = self._state.all().keys()
        return sorted(set(found), key=lambda name: (name in routers, name))

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
                self._load_router(plan, plan.grants)
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
                    self._serve(model)
                except SERVING_ERRORS as error:
                    failures.append(f"{model.name}: {error}")
        return failures

    def _ready_names(self) -> frozenset[str]:
        return frozenset(held.name for held in self._triton.index() if held.state == "READY")

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

    def _serve(self, model: ModelDirectory) -> None:
        """Publishes and loads one physical model, and checks that it really serves as planned.

        Two endpoints may want the same model at once: the second finds it served.
        """
        # A lock for every 256th model: locks of retired models would pile up.
        with self._state.locked(f".model-{model.name[-2:]}"):
            variant = model.variant_on(self._accelerator, self._hardware)
            self._repository.publish(model, variant)
            if not self._triton.is_ready(model.name):
                self._triton.load(model.name)
            if not self._triton.is_ready(model.name):
                raise TritonError(f"{model.name} was loaded, and is not ready")
            planned = model.variants[self._accelerator]
            held = self._triton.config(model.name)
            if int(held.get("max_batch_size", 0)) != int(planned["max_batch_size"]):
                raise TritonError(
                    f"{model.name} serves max_batch_size {held.get('max_batch_size')}, "
                    f"not the planned {planned['max_batch_size']}"
                )

    def _load_router(self, plan: Plan, spent: frozenset[str]) -> None:
        """Publishes and loads the router, with nothing left of the grants in `spent`.

        What is granted to other servers alone is nothing here.
        """
        if spent:
            logger.warning(
                "%s: Triton was started anew, so allowances count as spent: %s",
                plan.endpoint,
                ", ".join(sorted(spent)),
            )
        nothing = spent | plan.grants_elsewhere(self._name)
        texts = {
            path: with_spent_allowances(text, nothing) for path, text in plan.router.texts.items()
        }
        try:
            self._repository.publish(replace(plan.router, texts=texts), self._accelerator)
            self._triton.load(plan.endpoint)
            held = self._triton.config(plan.endpoint)
        except SERVING_ERRORS as error:
            raise PrepareFailedError(f"router {plan.endpoint}: {error}") from error
        generation = held["parameters"]["nereid_generation"]["string_value"]
        if generation != str(plan.generation):
            raise PrepareFailedError(
                f"router {plan.endpoint} serves generation {generation}, not {plan.generation}"
            )

    def _abandon(self, plan: Plan) -> None:
        """Forgets a preparation, and unloads what was loaded for it alone."""
        with self._state.locked(plan.endpoint):
            state = self._state.read(plan.endpoint)
            if state.preparing and state.preparing.generation == plan.generation:
                self._state.write(plan.endpoint, replace(state, preparing=None))
        try:
            self._retiring.collect()
        except (TritonError, OSError, StillBusyError) as error:
            logger.warning("%s: could not clean up a preparation: %s", plan.endpoint, error)

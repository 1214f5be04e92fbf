"""What a node does to its own Triton: prepare, switch, retire, remove, restore.

No Django here: a node brings its Triton back with the database and the broker down.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from control_plane.domain.planning.plan import ModelDirectory, Plan
from control_plane.fleet.node_state import EndpointState, NodeState
from control_plane.ports.repository import ModelRepository
from control_plane.ports.triton import TritonControl, TritonError, TritonMetrics

logger = logging.getLogger(__name__)

RETIRE_LOCK = "retire"


class StaleCommandError(RuntimeError):
    """A command older than one this node has seen already: it is refused (fencing)."""


class PrepareFailedError(RuntimeError):
    """A model of the plan cannot be served here; what served before goes on."""


class ArmsNotReadyError(RuntimeError):
    """A switch found an arm that is not ready: it has to be prepared (again) first."""


class NodeAgent:
    """One Triton, its repository and this node's memory.

    Commands of one endpoint are serialised by a lock file; every command is idempotent.
    """

    def __init__(
        self,
        *,
        triton: TritonControl,
        metrics: TritonMetrics,
        repository: ModelRepository,
        state: NodeState,
        accelerator: str,
    ) -> None:
        self._triton = triton
        self._metrics = metrics
        self._repository = repository
        self._state = state
        self._accelerator = accelerator

    def prepare(self, plan: Plan) -> frozenset[str]:
        """Materialises and loads every physical model of the plan; touches no router.

        Returns:
            The physical models that are ready here for this endpoint.

        Raises:
            StaleCommandError: a newer generation was seen.
            PrepareFailedError: with the reason; what was loaded for it alone is unloaded.
        """
        with self._state.locked(plan.endpoint):
            state = self._fenced(plan.endpoint, plan.generation)
            state = replace(state, highest=plan.generation, preparing=plan)
            # Written first: from here on no retire takes these models away.
            self._state.write(plan.endpoint, state)
            try:
                for model in plan.models:
                    self._serve(model)
            except (TritonError, LookupError, OSError, RuntimeError) as error:
                self._abandon(plan.endpoint, state)
                raise PrepareFailedError(str(error)) from error
            return state.needed

    def switch(self, plan: Plan) -> frozenset[str]:
        """Points the router at the plan's arms; every arm must be ready.

        Returns:
            The physical models that are ready here for this endpoint.

        Raises:
            StaleCommandError: a newer generation was seen.
            ArmsNotReadyError: an arm is not ready here; the router before goes on.
            PrepareFailedError: Triton refuses the router; the router before goes on.
        """
        with self._state.locked(plan.endpoint):
            state = self._fenced(plan.endpoint, plan.generation)
            for model in plan.models:
                if not self._triton.is_ready(model.name):
                    raise ArmsNotReadyError(f"{model.name} is not ready")
            switched = self._switched(state, plan)
            # Written first: a kill in between leaves the newer intent, and the command comes
            # again; a restart of Triton in between comes up with what was about to serve.
            self._state.write(plan.endpoint, switched)
            try:
                self._load_router(plan)
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
        """
        with self._state.locked(endpoint):
            state = self._fenced(endpoint, generation)
            self._state.write(endpoint, replace(state, highest=generation, preparing=None))
        self._collect()
        return self._state.read(endpoint).needed

    def remove(self, endpoint: str, generation: int) -> None:
        """Takes the endpoint's router and everything only it used off this node.

        Raises:
            StaleCommandError: a newer generation was seen.
        """
        with self._state.locked(endpoint):
            self._fenced(endpoint, generation)
            self._triton.unload(endpoint)
            self._repository.remove(endpoint)
            # The fence stays: a late switch must not bring the endpoint back.
            self._state.write(endpoint, EndpointState(highest=generation))
        self._collect()

    def missing(self) -> list[str]:
        """What Triton should serve and does not, arms before routers.

        Raises:
            TritonUnreachableError: Triton does not answer.
        """
        ready = {held.name for held in self._triton.index() if held.state == "READY"}
        wanted: list[str] = []
        routers: list[str] = []
        for name, state in self._state.all().items():
            wanted += [model for model in sorted(state.needed) if model not in wanted]
            if state.desired:
                routers.append(name)
        return [name for name in (*wanted, *routers) if name not in ready]

    def restore(self, progress: Callable[[str], None] = lambda _: None) -> list[str]:
        """Brings Triton back to what it should serve, from this node's own disk.

        Args:
            progress: is told what is being loaded.

        Returns:
            What could not be restored, in words; empty when everything serves.
        """
        missing = set(self.missing())
        failures: list[str] = []
        for endpoint, state in self._state.all().items():
            with self._state.locked(endpoint):
                # Read again under the lock: a command may have come in between.
                state = self._state.read(endpoint)
                failures += self._restore_endpoint(endpoint, state, missing, progress)
        return failures

    def _restore_endpoint(
        self,
        endpoint: str,
        state: EndpointState,
        missing: set[str],
        progress: Callable[[str], None],
    ) -> list[str]:
        failures: list[str] = []
        for model in _models(state.desired, state.previous, state.preparing):
            if model.name in missing:
                progress(model.name)
                try:
                    self._serve(model)
                    missing.discard(model.name)
                except (TritonError, LookupError, OSError, RuntimeError) as error:
                    failures.append(f"{model.name}: {error}")
        if state.desired and endpoint in missing:
            progress(endpoint)
            try:
                self._load_router(state.desired)
            except PrepareFailedError as error:
                failures.append(f"{endpoint}: {error}")
        return failures

    def _fenced(self, endpoint: str, generation: int) -> EndpointState:
        state = self._state.read(endpoint)
        if generation < state.highest:
            raise StaleCommandError(
                f"{endpoint}: generation {generation} comes after {state.highest} was seen"
            )
        return state

    def _switched(self, state: EndpointState, plan: Plan) -> EndpointState:
        if state.desired and state.desired.generation == plan.generation:
            return replace(state, highest=plan.generation, desired=plan, preparing=None)
        return EndpointState(
            highest=plan.generation, desired=plan, previous=state.desired, preparing=None
        )

    def _serve(self, model: ModelDirectory) -> None:
        """Publishes and loads one physical model, and checks that it really serves as planned."""
        self._repository.publish(model, self._accelerator)
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

    def _load_router(self, plan: Plan) -> None:
        self._repository.publish(plan.router, self._accelerator)
        try:
            self._triton.load(plan.endpoint)
            held = self._triton.config(plan.endpoint)
        except TritonError as error:
            raise PrepareFailedError(f"router {plan.endpoint}: {error}") from error
        generation = held["parameters"]["nereid_generation"]["string_value"]
        if generation != str(plan.generation):
            raise PrepareFailedError(
                f"router {plan.endpoint} serves generation {generation}, not {plan.generation}"
            )

    def _abandon(self, endpoint: str, state: EndpointState) -> None:
        """Forgets a preparation that failed, and unloads what was loaded for it alone."""
        self._state.write(endpoint, replace(state, preparing=None))
        try:
            self._collect()
        except TritonError as error:
            logger.warning("%s: could not clean up after a failed prepare: %s", endpoint, error)

    def _collect(self) -> None:
        """Unloads and removes the physical models that no endpoint needs and nothing runs on."""
        with self._state.locked(RETIRE_LOCK):
            held = {h.name for h in self._triton.index() if h.state == "READY"}
            candidates = {name for name in held | set(self._repository.names()) if "." in name}
            unneeded = candidates - self._needed()
            busy = self._busy(unneeded)
            for name in sorted(unneeded - busy):
                if name in self._needed():  # a prepare may have begun meanwhile
                    continue
                self._triton.unload(name)
                self._repository.remove(name)
                logger.info("retired %s", name)

    def _needed(self) -> frozenset[str]:
        return frozenset().union(*(state.needed for state in self._state.all().values()))

    def _busy(self, names: set[str]) -> set[str]:
        """Those among `names` with requests in flight.

        An old router instance may still be submitting, so its own count is asked too.
        """
        if not names:
            return set()
        counts = {"nereid_inflight_requests": "arm", "nv_inference_pending_request_count": "model"}
        return {
            sample.labels[counts[sample.name]]
            for sample in self._metrics.scrape()
            if sample.name in counts
            and sample.value > 0
            and sample.labels.get(counts[sample.name]) in names
        }


def _models(*plans: Plan | None) -> Iterable[ModelDirectory]:
    seen: set[str] = set()
    for plan in plans:
        for model in plan.models if plan else ():
            if model.name not in seen:
                seen.add(model.name)
                yield model

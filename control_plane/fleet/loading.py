"""One physical model, or one router, on this node's Triton: published, loaded, and checked."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from control_plane.domain.planning.plan import ModelDirectory, Plan, digest_of
from control_plane.domain.routing.compact import with_spent_allowances
from control_plane.fleet.golden import GoldenFailedError
from control_plane.fleet.node_state import NodeState
from control_plane.ports.repository import (
    ArtifactDamagedError,
    ModelRepository,
    PrefixTakenError,
)
from control_plane.ports.triton import TritonControl, TritonError, TritonUnreachableError

logger = logging.getLogger(__name__)

SERVING_ERRORS = (
    *(TritonError, LookupError, OSError),
    *(ArtifactDamagedError, PrefixTakenError, GoldenFailedError),
)
"""Why a model cannot be served: Triton, an artifact, the disk, a collision, a wrong answer."""

_Publish = Callable[[ModelDirectory, str], None]


class PrepareFailedError(RuntimeError):
    """A model of the plan cannot be served here; what served before goes on."""


class Loading:
    """Puts models where Triton finds them, and has it load them."""

    def __init__(
        self,
        *,
        triton: TritonControl,
        repository: ModelRepository,
        state: NodeState,
        accelerator: str,
        hardware: str,
        server: str,
    ) -> None:
        self._triton = triton
        self._repository = repository
        self._state = state
        self._accelerator = accelerator
        self._hardware = hardware
        self._server = server

    def lock_of(self, model: ModelDirectory) -> str:
        """The lock of a physical model: one for every 256th, or those of retired ones pile up."""
        return f".model-{model.name[-2:]}"

    def serve(self, model: ModelDirectory) -> None:
        """Publishes and loads one physical model, and checks that it really serves as planned.

        Two endpoints may want the same model at once: the second finds it served.

        Raises:
            SERVING_ERRORS: why it does not.
        """
        with self._state.locked(self.lock_of(model)):
            self._repository.publish(model, self._variant(model))
            if not self._triton.is_ready(model.name):
                self._triton.load(model.name)
                self._state.forget_loaded(model.name)
            self._check(model)

    def renew(self, model: ModelDirectory, *, loaded: bool) -> None:
        """Publishes one anew over whatever lies there; what is `loaded` is loaded anew from it.

        Raises:
            SERVING_ERRORS: why it cannot be; what is loaded goes on serving.
        """
        with self._state.locked(self.lock_of(model)):
            self._repository.republish(model, self._variant(model))
            if loaded:
                self._triton.load(model.name)
                self._state.forget_loaded(model.name)
                self._check(model)

    def recorded(self, model: ModelDirectory) -> str:
        """Makes sure that a model lies there as planned, and is recorded; why it does not."""
        try:
            with self._state.locked(self.lock_of(model)):
                self._repository.publish(model, self._variant(model))
        except PrefixTakenError:
            return "is not as it was planned"
        except SERVING_ERRORS as error:
            return f"is not there, and cannot be: {error}"
        return ""

    def load_router(self, plan: Plan, spent: frozenset[str]) -> None:
        """Publishes and loads the router, with nothing left of the grants in `spent`.

        What is granted to other servers alone is nothing here.

        Raises:
            PrepareFailedError: it cannot be; the router before goes on.
        """
        if spent:
            logger.warning(
                "%s: Triton was started anew, so allowances count as spent: %s",
                plan.endpoint,
                ", ".join(sorted(spent)),
            )
        self._route(plan, spent, self._repository.publish)

    def renew_router(self, endpoint: str) -> None:
        """Publishes and loads anew the router that should serve here, if one should.

        Raises:
            PrepareFailedError: it cannot be; the router before goes on.
        """
        with self._state.locked(endpoint):
            plan = self._state.read(endpoint).desired
            if plan is not None:
                # A router that is loaded goes on counting by itself.
                spent = frozenset() if self._triton.is_ready(endpoint) else plan.grants
                self._route(plan, spent, self._repository.republish)

    def is_as_loaded(self, name: str) -> bool:
        """Whether Triton serves a model with the configuration that this node loaded it with."""
        try:
            config = digest_of(dict(self._triton.config(name)))
        except TritonUnreachableError:
            raise
        except TritonError:
            return True  # it is not loaded any more, which others see
        known = self._state.loaded(name)
        if known is None:
            self._state.note_loaded(name, config)
        return known in (None, config)

    def _variant(self, model: ModelDirectory) -> str:
        return model.variant_on(self._accelerator, self._hardware)

    def _check(self, model: ModelDirectory) -> None:
        if not self._triton.is_ready(model.name):
            raise TritonError(f"{model.name} was loaded, and is not ready")
        planned = model.variants[self._accelerator]
        held = self._triton.config(model.name)
        if int(held.get("max_batch_size", 0)) != int(planned["max_batch_size"]):
            raise TritonError(
                f"{model.name} serves max_batch_size {held.get('max_batch_size')}, "
                f"not the planned {planned['max_batch_size']}"
            )
        if self._state.loaded(model.name) is None:
            self._state.note_loaded(model.name, digest_of(dict(held)))

    def _route(self, plan: Plan, spent: frozenset[str], publish: _Publish) -> None:
        nothing = spent | plan.grants_elsewhere(self._server)
        texts = {
            path: with_spent_allowances(text, nothing) for path, text in plan.router.texts.items()
        }
        try:
            publish(replace(plan.router, texts=texts), self._accelerator)
            self._triton.load(plan.endpoint)
            held = self._triton.config(plan.endpoint)
        except SERVING_ERRORS as error:
            raise PrepareFailedError(f"router {plan.endpoint}: {error}") from error
        generation = held["parameters"]["nereid_generation"]["string_value"]
        if generation != str(plan.generation):
            raise PrepareFailedError(
                f"router {plan.endpoint} serves generation {generation}, not {plan.generation}"
            )
        self._state.note_loaded(plan.endpoint, digest_of(dict(held)))

"""Taking off a Triton what no endpoint needs and nothing runs on any more."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from control_plane.domain.names import is_physical_name
from control_plane.fleet.node_state import NodeState
from control_plane.ports.repository import ModelRepository
from control_plane.ports.triton import TritonControl, TritonError, TritonMetrics

logger = logging.getLogger(__name__)

RETIRE_LOCK = ".retire"
"""No endpoint's name begins with a dot."""

_USES = {
    "nereid_inflight_requests": "arm",
    "nereid_pinned_sequences": "arm",
    "nv_inference_pending_request_count": "model",
}
"""Gauges that say that a model is in use, and the label that names it."""


class StillBusyError(RuntimeError):
    """A model that nothing needs any more still has requests in flight: come again."""


class Retiring:
    """Unloads and removes physical models, pipelines before the members that they need."""

    def __init__(
        self,
        triton: TritonControl,
        metrics: TritonMetrics,
        repository: ModelRepository,
        state: NodeState,
    ) -> None:
        self._triton = triton
        self._metrics = metrics
        self._repository = repository
        self._state = state

    def collect(self) -> None:
        """Unloads and removes the physical models that no endpoint needs.

        Raises:
            StillBusyError: some have requests in flight; they stay for the next time.
        """
        ready = {held.name for held in self._triton.index() if held.state == "READY"}
        held = ready | set(self._repository.names())
        unneeded = {name for name in held if is_physical_name(name)} - self._needed()
        members = self._members(unneeded & ready)
        busy = self._busy(unneeded)
        # A request in the first step of a pipeline has nothing in flight on the second yet.
        busy |= {name for pipeline in busy for name in members.get(pipeline, ())} & unneeded
        for name in sorted(unneeded - busy, key=lambda name: (name not in members, name)):
            with self._state.locked(RETIRE_LOCK):
                if name in self._needed():  # a prepare began meanwhile
                    continue
                self._triton.unload(name)
            self._repository.remove(name)
            logger.info("retired %s", name)
        if busy:
            raise StillBusyError(
                f"requests are in flight, or sequences live, on {', '.join(sorted(busy))}"
            )

    def _needed(self) -> frozenset[str]:
        return frozenset().union(*(state.needed for state in self._state.all().values()))

    def _members(self, names: set[str]) -> Mapping[str, frozenset[str]]:
        """Those among `names` that are pipelines, with what each hands requests on to."""
        found = {}
        for name in names:
            try:
                scheduling = self._triton.config(name).get("ensemble_scheduling", {})
            except TritonError:  # unloaded meanwhile by another command
                continue
            if steps := scheduling.get("step"):
                found[name] = frozenset(step["model_name"] for step in steps)
        return found

    def _busy(self, names: set[str]) -> set[str]:
        """Those among `names` with requests in flight or a live sequence.

        An old router instance may still be submitting, so its own counts are asked too; among
        them are copies for a shadow and attempts that nobody waits for any more.
        """
        if not names:
            return set()
        return {
            sample.labels[_USES[sample.name]]
            for sample in self._metrics.scrape()
            if sample.name in _USES
            and sample.value > 0
            and sample.labels.get(_USES[sample.name]) in names
        }

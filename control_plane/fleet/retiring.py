"""Taking off a Triton what no endpoint needs and nothing runs on any more."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from graphlib import TopologicalSorter

from control_plane.domain.names import is_physical_name
from control_plane.domain.planning.model_config import ROUTER_BACKEND
from control_plane.domain.planning.pattern_config import handed_on
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

        None are, while the state of one cannot be read, or this node does not remember what a
        router here leads to (its memory was lost, and Triton was not): what serves looks the same
        as what nobody needs.

        Raises:
            StillBusyError: some have requests in flight; they stay for the next time.
        """
        needed = self._needed()
        if lost := self._state.lost():
            logger.warning(
                "nothing is retired: the state of %s cannot be read, and what it needs is not "
                "known until it is switched again",
                ", ".join(lost),
            )
            return
        ready = {held.name for held in self._triton.index() if held.state == "READY"}
        if forgotten := self._forgotten(ready):
            logger.warning(
                "nothing is retired: this node does not remember what %s leads to, until it is "
                "switched again or goes",
                ", ".join(forgotten),
            )
            return
        held = ready | set(self._repository.names())
        unneeded = {name for name in held if is_physical_name(name)} - needed
        members = self._members(unneeded & ready)
        # A request in the first step of a pipeline has nothing in flight on the second yet.
        busy = _with_members(self._busy(unneeded), members) & unneeded
        for name in _pipelines_first(unneeded - busy, members):
            with self._state.locked(RETIRE_LOCK):
                if name in self._needed() or self._state.lost():  # a prepare began meanwhile
                    continue
                self._triton.unload(name)
            self._repository.remove(name)
            self._state.forget_loaded(name)
            logger.info("retired %s", name)
        if busy:
            raise StillBusyError(
                f"requests are in flight, or sequences live, on {', '.join(sorted(busy))}"
            )

    def pinned(self, endpoint: str) -> int:
        """Live sequences that the endpoint's router holds to an arm.

        Raises:
            TritonUnreachableError: no answer.
        """
        found = (s for s in self._metrics.scrape() if s.name == "nereid_pinned_sequences")
        return sum(int(s.value) for s in found if s.labels.get("endpoint") == endpoint)

    def _forgotten(self, ready: set[str]) -> list[str]:
        """Routers that serve here, and of which nothing is known here."""
        known = {name for name, state in self._state.all().items() if state.desired}
        others = (name for name in ready - known if not is_physical_name(name))
        return sorted(name for name in others if self._is_router(name))

    def _is_router(self, name: str) -> bool:
        try:
            return self._triton.config(name).get("backend") == ROUTER_BACKEND
        except TritonError:  # unloaded meanwhile by another command
            return False

    def _needed(self) -> frozenset[str]:
        return frozenset().union(*(state.needed for state in self._state.all().values()))

    def _members(self, names: set[str]) -> Mapping[str, frozenset[str]]:
        """Those among `names` that are pipelines, with what each hands requests on to."""
        found = {}
        for name in names:
            try:
                members = handed_on(self._triton.config(name))
            except TritonError:  # unloaded meanwhile by another command
                continue
            if members:
                found[name] = members
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


def _with_members(names: set[str], members: Mapping[str, frozenset[str]]) -> set[str]:
    """These and all that they hand requests on to, at any depth."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += members.get(name, ())
    return found


def _pipelines_first(names: set[str], members: Mapping[str, frozenset[str]]) -> list[str]:
    """Each before all that it hands requests on to."""
    needs = {name: members.get(name, frozenset()) & names for name in sorted(names)}
    return list(TopologicalSorter(needs).static_order())[::-1]

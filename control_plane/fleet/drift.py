"""What somebody changed by hand on a server, seen and put right.

Three things drift: the files of the model repository, what Triton was told by its own API to load
or unload, and with which configuration it did. Each is held against what this node published and
loaded itself; what is not Nereid's is told of and left. No Django here: a node puts right what it
can with everything else down.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from control_plane.domain.names import is_physical_name, printable
from control_plane.domain.planning.drift import Drift, DriftKind
from control_plane.domain.planning.plan import ModelDirectory
from control_plane.fleet.agent import NodeAgent
from control_plane.fleet.loading import SERVING_ERRORS, PrepareFailedError
from control_plane.fleet.node_state import EndpointState, NodeState
from control_plane.fleet.retiring import StillBusyError
from control_plane.ports.repository import ModelRepository
from control_plane.ports.triton import TritonControl, TritonError

logger = logging.getLogger(__name__)

CONFIGS_AT_ONCE = 20
"""Of how many models one look asks Triton for the configuration: with many it takes turns."""

REST_S = 10.0
LONGEST_REST_S = 600.0
"""Between two times that the same thing is put right: somebody may be at work against us."""


@dataclass(frozen=True)
class _Ours:
    """Something that a node should hold: a physical model, or (`model` None) a router."""

    name: str
    endpoints: tuple[str, ...]
    model: ModelDirectory | None
    wanted: bool


_UNRECORDED = (DriftKind.FILES, "")


class DriftWatch:
    """Looks at one server's repository and Triton. One at a time: only the node's keeper calls it.

    `assured` says which endpoints are wanted here, where this node surely knows what they need;
    while it says None nothing is taken off. `unloads_foreign`: models that are none of Nereid's
    are unloaded, not only told of.
    """

    def __init__(
        self,
        *,
        agent: NodeAgent,
        triton: TritonControl,
        repository: ModelRepository,
        state: NodeState,
        assured: Callable[[], Collection[str] | None],
        unloads_foreign: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._agent = agent
        self._triton = triton
        self._repository = repository
        self._loading = agent.loading
        self._state = state
        self._assured = assured
        self._unloads_foreign = unloads_foreign
        self._monotonic = monotonic
        self._turn = 0
        self._rests: dict[tuple[bool, str], tuple[float, float]] = {}
        self._suspects: frozenset[str] = frozenset()

    def look(self) -> list[Drift]:
        """Finds what drifted and puts right what is Nereid's.

        Raises:
            TritonError: Triton does not answer; nothing can be said.
        """
        let_go = self._triton.let_go()  # before the states: what was retired is in neither
        states = self._state.all()
        ours = list(_ours(states))
        ready = frozenset(h.name for h in self._triton.index() if h.state == "READY")
        found = [*self._kept_again(ours, let_go - ready), *self._changed(ours, ready)]
        found += self._not_ours(states, ready)
        self._sweep()
        return found

    def before_restore(self, missing: Collection[str]) -> list[Drift]:
        """What of the missing was unloaded by hand, and what of their files was changed.

        The files are put right, so that the restore finds them as they were published; what is
        unloaded `after_restore` says more of. A Triton that was started anew knows of no unload.
        """
        let_go = self._triton.let_go()
        ours = [one for one in _ours(self._state.all()) if one.name in missing]
        found = [_unloaded(one) for one in ours if one.name in let_go]
        for one in ours:
            # Routers are published anew at each load; of models what lies there is loaded.
            if one.model and (drift := self._put_right_if_needed(one, frozenset(), asks=False)):
                found.append(drift)
        return found

    def after_restore(self, unloaded: Iterable[Drift], failures: Sequence[str]) -> list[Drift]:
        """The same of what was unloaded, now that it was to be loaded again; `failures` in words.

        Raises:
            TritonError: Triton does not answer; nothing can be said.
        """
        found = []
        for drift in unloaded:
            if self._triton.is_ready(drift.subject):
                found.append(replace(drift, put_right=True))
                continue
            about = [said for said in failures if drift.subject in said] or failures
            found.append(_unsettled(drift, "; ".join(about) or "it is not loaded again yet"))
        return found

    def _kept_again(self, ours: list[_Ours], let_go: frozenset[str]) -> list[Drift]:
        """What is kept for the way back is loaded again: the node's keeper sees to the rest."""
        found = []
        for one in ours:
            if one.model is None or one.wanted or one.name not in let_go:
                continue
            if drift := self._put_right_if_needed(one, frozenset(), asks=False):
                found.append(drift)
            found.append(self._put_right(_unloaded(one), partial(self._loading.serve, one.model)))
        return found

    def _changed(self, ours: list[_Ours], ready: frozenset[str]) -> list[Drift]:
        asked = self._in_turn([one.name for one in ours if one.name in ready])
        found = []
        for one in ours:
            if drift := self._put_right_if_needed(one, ready, asks=one.name in asked):
                found.append(drift)
        return found

    def _in_turn(self, names: list[str]) -> frozenset[str]:
        start = self._turn % max(1, len(names))
        self._turn = start + CONFIGS_AT_ONCE
        return frozenset((names + names)[start : start + min(CONFIGS_AT_ONCE, len(names))])

    def _put_right_if_needed(
        self, one: _Ours, ready: frozenset[str], *, asks: bool
    ) -> Drift | None:
        lock = one.name if one.model is None else self._loading.lock_of(one.model)
        difference = self._difference(one, ready, asks=asks)
        if difference is None:
            return None
        if difference is not _UNRECORDED:
            # Once more under the lock: a command may have been at it.
            with self._state.locked(lock):
                difference = self._difference(one, ready, asks=asks)
        if difference is _UNRECORDED:
            # Of before there were records, or lost with them: made sure of, and recorded.
            if one.model is None:
                self._loading.renew_router(one.name)
            problem = self._loading.recorded(one.model) if one.model else ""
            difference = (DriftKind.FILES, problem) if problem else None
        if difference is None:
            return None
        kind, detail = difference
        drift = Drift(kind, one.name, detail, one.endpoints)
        if one.model is None:
            return self._put_right(drift, partial(self._loading.renew_router, one.name))
        renew = partial(self._loading.renew, one.model, loaded=one.name in ready)
        return self._put_right(drift, renew)

    def _difference(
        self, one: _Ours, ready: frozenset[str], *, asks: bool
    ) -> tuple[DriftKind, str] | None:
        files = self._repository.differences(one.name)
        if files is None:
            return _UNRECORDED
        if files:
            return DriftKind.FILES, _some(files)
        if asks and one.name in ready and not self._loading.is_as_loaded(one.name):
            return DriftKind.CONFIGURATION, "was loaded with another configuration"
        return None

    def _put_right(self, drift: Drift, mend: Callable[[], None]) -> Drift:
        now, what = self._monotonic(), (drift.kind == DriftKind.UNLOADED, drift.subject)
        due, rest = self._rests.get(what, (now, REST_S / 2))
        if now < due:
            return _unsettled(drift, "it was put right just now, and rests for a while")
        # One that was left alone for long begins anew.
        rest = REST_S if now - due > LONGEST_REST_S else min(LONGEST_REST_S, rest * 2)
        self._rests[what] = (now + rest, rest)
        try:
            mend()
        except (*SERVING_ERRORS, PrepareFailedError) as error:
            logger.warning("%s %s, and cannot be put right: %s", drift.subject, drift.detail, error)
            return _unsettled(drift, str(error))
        logger.warning("%s: %s; put right", drift.subject, drift.detail)
        return replace(drift, put_right=True)

    def _not_ours(self, states: Mapping[str, EndpointState], ready: frozenset[str]) -> list[Drift]:
        """What nobody needs: Nereid's own is tidied up, what others put there is told of."""
        wanted = self._assured()
        # An empty memory, or one with a hole, says of what serves that nobody needs it.
        may_go = wanted is not None and not self._state.lost()
        routers = {endpoint for endpoint, state in states.items() if state.desired}
        needed = routers.union(wanted or (), *(state.needed for state in states.values()))
        loaded = ready - needed
        lying = frozenset(self._repository.names()) - needed
        # What was here at the last look already: a command may be on its way to it.
        settled = (loaded | lying) & self._suspects
        self._suspects = loaded | lying
        found = []
        for name in sorted(settled, key=lambda name: (name not in loaded, name)):
            if is_physical_name(name) or self._repository.is_ours(name):
                continue
            if name in loaded:
                found.append(self._foreign(name, may_go=may_go))
            else:
                detail = "lies in the model repository, and Nereid did not put it there"
                found.append(Drift(DriftKind.STRAY_DIRECTORY, printable(name), detail))
        if may_go:
            self._tidy_up(settled)
        return found

    def _tidy_up(self, settled: frozenset[str]) -> None:
        """Takes off what is Nereid's and nobody needs: routers before what they lead to."""
        for name in sorted(settled):
            if is_physical_name(name) or not self._repository.is_ours(name):
                continue
            with self._state.locked(name):
                if self._state.read(name).desired:  # a switch came meanwhile
                    continue
                self._triton.unload(name)
                self._repository.remove(name)
            logger.info("removed the router %s, which nothing leads to", name)
        if any(is_physical_name(name) for name in settled):
            try:
                self._agent.retiring.collect()
            except StillBusyError as error:
                logger.info("not tidied up yet: %s", error)

    def _sweep(self) -> None:
        """That something cannot be swept must not keep from people what was found."""
        try:
            cleared = self._repository.clear_staging()
        except OSError as error:
            logger.warning("what publications left cannot be cleared: %s", error)
            return
        if cleared:
            logger.info("cleared what publications left: %s", ", ".join(cleared))

    def _foreign(self, name: str, *, may_go: bool) -> Drift:
        detail = "is loaded, and Nereid did not load it"
        drift = Drift(DriftKind.FOREIGN_MODEL, printable(name), detail)
        if not self._unloads_foreign or not may_go:
            return drift
        try:
            self._triton.unload(name)
        except TritonError as error:
            return _unsettled(drift, str(error))
        return replace(drift, put_right=True)


def _ours(states: Mapping[str, EndpointState]) -> Iterator[_Ours]:
    """Everything that should be loaded, each once; models before the routers that lead to them."""
    models: dict[str, ModelDirectory] = {}
    users: dict[str, set[str]] = {}
    wanted: set[str] = set()
    for endpoint, state in states.items():
        for plan in (state.desired, state.previous):
            for model in plan.models if plan else ():
                models[model.name] = model
                users.setdefault(model.name, set()).add(endpoint)
        if state.desired:
            wanted |= state.desired.required
    for name, model in models.items():
        yield _Ours(name, tuple(sorted(users[name])), model, name in wanted)
    for endpoint, state in states.items():
        if state.desired:
            yield _Ours(endpoint, (endpoint,), None, wanted=True)


def _unloaded(one: _Ours) -> Drift:
    return Drift(DriftKind.UNLOADED, one.name, "was unloaded by Triton's API", one.endpoints)


def _unsettled(drift: Drift, problem: str) -> Drift:
    return replace(drift, problem=problem)


def _some(said: Sequence[str], most: int = 5) -> str:
    more = len(said) - most
    return ", ".join(said[:most]) + (f" and {more} more" if more > 0 else "")

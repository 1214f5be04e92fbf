"""A node's watch over what is changed by hand: looks now and then, and tells what came of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import datetime

from control_plane.domain.planning.drift import Drift, DriftKind
from control_plane.fleet.drift import DriftWatch
from control_plane.fleet.drift_records import note_drift
from control_plane.ports.triton import TritonError

logger = logging.getLogger("node")

MOST_UNTOLD = 200
"""While the database is down: what is beyond it is in the log alone."""


class Drifting:
    """Keeps what was found until the control plane knows it. `is_settled`: nothing is missing."""

    def __init__(self, watch: DriftWatch, is_settled: Callable[[], bool]) -> None:
        self._watch = watch
        self._is_settled = is_settled
        self._lock = threading.Lock()
        self._present: list[Drift] | None = None
        self._done: list[Drift] = []
        self._told = False
        self._unloaded: list[Drift] = []

    def look(self) -> None:
        """One look, unless the node is bringing its Triton back."""
        if not self._is_settled():
            return
        try:
            found = self._watch.look()
        except TritonError as error:
            logger.info("no look at what was changed: %s", error)
            return
        with self._lock:
            self._present = [drift for drift in found if not drift.put_right]
            self._keep(drift for drift in found if drift.put_right)
            self._told = False

    def missing(self, names: list[str]) -> None:
        """What is about to be brought back: part of it may have been unloaded by hand."""
        try:
            found = self._watch.before_restore(names)
        except TritonError:
            return
        self._unloaded = [drift for drift in found if drift.kind == DriftKind.UNLOADED]
        self._note([drift for drift in found if drift not in self._unloaded])

    def brought_back(self, failures: list[str]) -> None:
        """What came of it; what is not back stands, with the reason, until it is."""
        unloaded, self._unloaded = self._unloaded, []
        try:
            self._note(self._watch.after_restore(unloaded, failures))
        except TritonError:
            return

    def _note(self, found: list[Drift]) -> None:
        """Beside what the last look found of others."""
        if not found:
            return
        with self._lock:
            about = {(drift.kind, drift.subject) for drift in found}
            others = [d for d in self._present or () if (d.kind, d.subject) not in about]
            self._present = [*others, *(drift for drift in found if not drift.put_right)]
            self._keep(drift for drift in found if drift.put_right)
            self._told = False

    def tell(self, server: str, now: datetime) -> None:
        """Tells the control plane; raises django.db.Error where it does not answer."""
        with self._lock:
            present, done = self._present, list(self._done)
            if self._told and not done:
                return
        note_drift(server=server, present=present, done=done, now=now)
        with self._lock:
            self._done = self._done[len(done) :]
            self._told = True

    def _keep(self, found: Iterable[Drift]) -> None:
        self._done = [*self._done, *found][-MOST_UNTOLD:]

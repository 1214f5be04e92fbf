"""The gate of a server: whether a balancer may send it requests, from what its node knows.

No Django here: it has to answer with the database and the broker down.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from control_plane.domain.planning.readiness import Heard, Held, Verdict, Wanted, judge
from control_plane.fleet.agent import NodeAgent
from control_plane.fleet.node_state import NodeState
from control_plane.ports.triton import TritonControl, TritonError

logger = logging.getLogger(__name__)

FRESH_S = 0.2
"""An answer is good for so long: many balancers ask Triton no more often than one."""


class Gate:
    """One server's gate. The node's keeper says what it found, the heartbeat what it heard.

    `triton` should give up soon: who asks waits for it. `monotonic` counts seconds.
    """

    def __init__(
        self,
        *,
        agent: NodeAgent,
        triton: TritonControl,
        state: NodeState,
        trust_s: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._agent = agent
        self._triton = triton
        self._state = state
        self._trust_s = trust_s
        self._monotonic = monotonic
        self._wanted = self._kept = state.wanted()
        self._tried = False
        self._first_heard: float | None = None
        self._last_heard: float | None = None
        self._problem = "starting"
        self._caught_up = False
        self._asking = threading.Lock()
        self._verdict = Verdict(False, "starting")
        self._judged_at = float("-inf")

    def found(self, problem: str) -> None:
        """What keeps Triton from serving everything it should, in words for whoever asks."""
        if problem != self._problem:
            self._problem = problem
            self._judged_at = float("-inf")

    def begins_anew(self) -> None:
        """Triton was away: it is held to all that is wanted, as at the start.

        It takes no requests meanwhile, so nothing is lost by asking again.
        """
        self._caught_up, self._tried, self._first_heard = False, False, None

    def heard(self, wanted: Wanted) -> None:
        """What the control plane wants of this server; kept on disk for when it does not answer."""
        now = self._monotonic()
        self._first_heard = now if self._first_heard is None else self._first_heard
        self._last_heard = now
        self._wanted, self._tried = wanted, True
        if wanted.draining:
            # It takes nothing: when it shall again, all that is meant for it has to be there.
            self._caught_up = False
        self._judged_at = float("-inf")
        if wanted != self._kept:
            try:
                self._state.keep_wanted(wanted)
                self._kept = wanted
            except OSError as error:  # a full disk must not keep a server out that serves
                logger.warning("what is wanted is not kept for a restart: %s", error)

    def heard_nothing(self) -> None:
        """The control plane was asked, and did not answer."""
        self._tried = True

    @property
    def catches_up(self) -> bool:
        """Whether it has not been ready yet since the node's start."""
        return not self._caught_up

    def assured(self) -> frozenset[str] | None:
        """The endpoints that are wanted here, where this node surely holds them all; or None.

        Surely is: it is ready by what the control plane said since the start. A node whose disk
        is new, or older than what serves, is not: what its Triton holds may be needed.
        """
        if not self.verdict().ready or self._first_heard is None or self._wanted is None:
            return None
        return frozenset(self._wanted.endpoints)

    def verdict(self) -> Verdict:
        """Whether requests may be sent now."""
        with self._asking:
            if self._monotonic() - self._judged_at >= FRESH_S:
                self._verdict = self._judge()
                self._caught_up = self._caught_up or self._verdict.ready
                self._judged_at = self._monotonic()
            return self._verdict

    def _judge(self) -> Verdict:
        now = self._monotonic()
        heard = Heard(
            wanted=self._wanted,
            tried=self._tried,
            since_start_s=None if self._first_heard is None else now - self._first_heard,
            ago_s=None if self._last_heard is None else now - self._last_heard,
        )
        held = Held(self._problem, (), {}) if self._problem else self._held()
        return judge(held, heard, caught_up=self._caught_up, trust_s=self._trust_s)

    def _held(self) -> Held:
        try:
            # A command under way excuses what it is changing only where all was well before.
            lacking = self._agent.lacking(self._triton, patient=self._verdict.ready)
        except TritonError:
            return Held("Triton does not answer", (), {})
        return Held("", lacking, self._agent.serves())

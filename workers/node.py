"""The node beside one Triton: `python -m workers.node`.

It keeps Triton holding what it should (from this node's own disk, whatever else is down),
says how it is, and runs the two lanes that commands arrive on.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from control_plane.starting import set_up

set_up()

from django.conf import settings  # noqa: E402 - Django has to be set up before these
from django.db import Error as DatabaseError  # noqa: E402
from django.db import close_old_connections  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

from control_plane import node_wiring, wiring  # noqa: E402
from control_plane.adapters.machines import DEFAULT_SERVER, load_server  # noqa: E402
from control_plane.adapters.queue import node_queue  # noqa: E402
from control_plane.adapters.request_log import RequestLogError  # noqa: E402
from control_plane.endpoints.generations import left_behind  # noqa: E402
from control_plane.endpoints.observations import lost_while_away  # noqa: E402
from control_plane.endpoints.returning import make_known  # noqa: E402
from control_plane.endpoints.wanted import fell_back, wanted_of  # noqa: E402
from control_plane.fleet.agent import NodeAgent  # noqa: E402
from control_plane.fleet.answered import put_feedback_to_arms  # noqa: E402
from control_plane.fleet.drift import DriftWatch  # noqa: E402
from control_plane.fleet.gate import Gate  # noqa: E402
from control_plane.fleet.joining import register_own_server  # noqa: E402
from control_plane.fleet.selectors import get_server  # noqa: E402
from control_plane.fleet.services import heartbeat  # noqa: E402
from control_plane.ports.triton import HeldModel, TritonControl, TritonError  # noqa: E402
from control_plane.tuning.recording_node import forget_what_is_over  # noqa: E402
from workers.drifting import Drifting  # noqa: E402
from workers.gate import keep_open  # noqa: E402
from workers.lane import QueueWorker, stop_all  # noqa: E402

logger = logging.getLogger("node")

LOOK_S = 0.5
AWAY_LOOKS = 3
"""A Triton that does not answer so many looks was away; one is a hiccup of a busy one."""

HEARTBEAT_S = 2.0
ASK_S = 5.0
DRIFT_S = 10.0
FEEDBACK_S = 1.0
RECORDINGS_S = 30.0
FEEDBACK_OF_LATE = 30
RESTORE_REST_S = 30.0
STOP_PATIENCE_S = 10.0


class Keeper:
    """Looks at Triton twice a second and brings back what is missing."""

    def __init__(
        self,
        agent: NodeAgent,
        triton: TritonControl,
        gate: Gate,
        watch: DriftWatch,
        ready_file: Path,
    ) -> None:
        self._agent = agent
        self._gate = gate
        self._triton = triton
        self._ready_file = ready_file
        self._problem = "starting"
        self._version = ""
        self._failed_restores = 0
        self._restore_after = 0.0
        self._is_known = False
        self._ask_after = 0.0
        self._unanswered = 0
        self._was_unready = False
        self.drifting = Drifting(watch, lambda: not self._problem)

    def look(self) -> None:
        """One look; what is missing is loaded, arms before routers."""
        try:
            missing = self._agent.missing()
            if missing:
                self._may_have_been_away()
                self._bring_back(missing)
            else:
                self._problem, self._failed_restores = "", 0
            self._version = self._version or self._triton.server_version()
            self._unanswered = 0
        except TritonError as error:
            self._version = ""
            self._unready(str(error), "Triton does not answer")
            self._unanswered += 1
            if self._unanswered >= AWAY_LOOKS:
                self._gate.begins_anew()
        if not self._problem:
            self._gate.found("")
            self._ready()

    def _may_have_been_away(self) -> None:
        """One that lost what it held was started anew, however short it was away."""
        if self._unanswered or not any(held.state == "READY" for held in self._triton.index()):
            self._gate.begins_anew()

    def _bring_back(self, missing: list[str]) -> None:
        """Restores, at growing intervals while something cannot be restored."""
        if time.monotonic() < self._restore_after:
            return
        doing = "bringing back " + ", ".join(missing)
        self._unready(doing, doing)
        self.drifting.missing(missing)
        failures = self._agent.restore(lambda name: logger.info("loading %s", name))
        self.drifting.brought_back(failures)
        self._problem = "; ".join(failures)
        if failures:
            self._failed_restores += 1
            rest = min(RESTORE_REST_S, LOOK_S * 2**self._failed_restores)
            self._restore_after = time.monotonic() + rest
            logger.warning("%s; trying again in %.0f s", self._problem, rest)

    def heartbeat(self) -> None:
        """Tells the control plane; it may be down, and this node serves all the same."""
        name, now, problem = settings.NEREID_NODE_NAME, wiring.clock().now(), self._problem
        held: list[HeldModel] = []
        with contextlib.suppress(TritonError):
            held = list(self._triton.index())
        try:
            close_old_connections()
            if not self._is_known:
                register_own_server(actor=f"node {name}")
            # One that was removed meanwhile, and whose node goes on, makes itself known again.
            self._is_known = heartbeat(
                name=name,
                now=now,
                ready=not problem,
                reason=problem,
                triton_version=self._version,
                held=held,
                cores=len(os.sched_getaffinity(0)),
                backends=node_wiring.backends(),
                labels=settings.NEREID_SERVER_LABELS,
                memory=node_wiring.memory_meter().read(),
            )
            if self._was_unready and not problem:
                self._was_unready = False  # before it is told: it may be so again by then
                lost_while_away(server=name, now=now)
            self._hear(name, now)
            self.drifting.tell(name, now)
            self._gate.verdict()  # also where nobody asks: it notes that all was caught up with
        except DatabaseError as error:
            self._gate.heard_nothing()
            self._ask_after, self._was_unready = 0.0, True
            logger.warning("no heartbeat: %s", str(error).strip().partition("\n")[0])

    def _hear(self, name: str, now: datetime) -> None:
        """Asks what is wanted of this server; often until it was ready once, then now and then."""
        if not self._gate.catches_up and time.monotonic() < self._ask_after:
            return
        self._gate.heard(wanted_of(get_server(name), now))
        # Its own memory is read after the control plane's: it can only be ahead.
        if lost := fell_back(server=name, serves=self._agent.serves(), now=now):
            logger.warning("the control plane is told to send again: %s", ", ".join(lost))
        if behind := left_behind(seen=self._agent.highest(), now=now):
            logger.warning("records were lost; this node is led back to: %s", ", ".join(behind))
        make_known(server=name, agent=self._agent, now=now)
        self._ask_after = time.monotonic() + ASK_S

    def _ready(self) -> None:
        if not self._ready_file.exists():
            self._ready_file.write_text(json.dumps({"pid": os.getpid()}))
            logger.info("Triton holds everything it should")

    def _unready(self, problem: str, said: str) -> None:
        """`said` is for whoever asks the gate: no addresses, no paths."""
        if problem != self._problem:
            logger.info("not ready: %s", problem)
        self._problem, self._was_unready = problem, True
        self._gate.found(said)
        self._ready_file.unlink(missing_ok=True)


class Labeller:
    """Asks the database once a second whose feedback it does not know, and says what is ours."""

    def __init__(self) -> None:
        self._looks = 0

    def answer(self) -> None:
        """One look; now and then at all that waits: this server may have been away."""
        self._looks += 1
        try:
            put_feedback_to_arms(
                store=wiring.telemetry(),
                answered=node_wiring.request_log(),
                clock=wiring.clock(),
                all_that_wait=self._looks % FEEDBACK_OF_LATE == 1,
            )
        except (SQLAlchemyError, RequestLogError, OSError) as error:
            if self._looks % FEEDBACK_OF_LATE == 1:
                said = str(error).strip().partition("\n")[0]
                logger.warning("feedback waits for its arm: %s", said)


def tidy_recordings() -> None:
    """Has the router delete what was recorded and is wanted by nobody any more."""
    try:
        close_old_connections()
        forget_what_is_over(node_wiring.request_recorder())
    except DatabaseError as error:
        logger.warning("recordings: %s", str(error).strip().partition("\n")[0])


def main() -> int:
    """Runs until it is told to stop."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    settings.NEREID_NODE_STATE.mkdir(parents=True, exist_ok=True)
    ready_file = settings.NEREID_NODE_STATE / "ready.json"
    ready_file.unlink(missing_ok=True)
    gate = node_wiring.gate()
    watch = node_wiring.drift_watch()
    keeper = Keeper(node_wiring.node_agent(), node_wiring.triton_control(), gate, watch, ready_file)
    door = (settings.NEREID_BIND, settings.NEREID_NODE_PORT, gate.verdict)
    threading.Thread(
        target=keep_open, args=(*door, settings.NEREID_NODE_NAME, stopping), daemon=True
    ).start()
    # On a thread of its own: bringing back a large model must not look like a dead node.
    for interval_s, duty in (
        (HEARTBEAT_S, keeper.heartbeat),
        (FEEDBACK_S, Labeller().answer),
        (DRIFT_S, keeper.drifting.look),
        (RECORDINGS_S, tidy_recordings),
    ):
        threading.Thread(target=_every, args=(interval_s, duty, stopping), daemon=True).start()
    # As many as leave Triton's load threads free for a router.
    flags = load_server(settings.NEREID_SERVER_CONFIG or DEFAULT_SERVER)
    lanes = [_lane("prepare", flags.prepares_at_once), _lane("switch", 2)]

    def look() -> None:
        for lane in lanes:
            lane.keep_running()
        keeper.look()

    try:
        _every(LOOK_S, look, stopping)
    finally:
        ready_file.unlink(missing_ok=True)
        stop_all(lanes, STOP_PATIENCE_S)
    return 0


def _lane(verb: str, threads: int) -> QueueWorker:
    queue = node_queue(settings.NEREID_NODE_NAME, verb)
    return QueueWorker(queue, name=queue, threads=threads)


def _every(interval_s: float, duty: Callable[[], None], stopping: threading.Event) -> None:
    """Does the duty, again and again, until stopped."""
    while not stopping.is_set():
        try:
            duty()
        except Exception:  # a node that stops looking because of one odd answer helps nobody
            logger.exception("%s failed; trying again", duty.__name__)
        stopping.wait(interval_s)


if __name__ == "__main__":
    sys.exit(main())

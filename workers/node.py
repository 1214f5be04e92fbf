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
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "control_plane.settings")
django.setup()

from django.conf import settings  # noqa: E402 - Django has to be set up before these
from django.db import Error as DatabaseError  # noqa: E402
from django.db import close_old_connections  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

from control_plane import wiring  # noqa: E402
from control_plane.adapters.machines import DEFAULT_SERVER, load_server  # noqa: E402
from control_plane.adapters.queue import node_queue  # noqa: E402
from control_plane.adapters.request_log import RequestLogError  # noqa: E402
from control_plane.fleet.agent import NodeAgent  # noqa: E402
from control_plane.fleet.answered import put_feedback_to_arms  # noqa: E402
from control_plane.fleet.services import heartbeat  # noqa: E402
from control_plane.ports.triton import HeldModel, TritonControl, TritonError  # noqa: E402
from workers.lane import QueueWorker, stop_all  # noqa: E402

logger = logging.getLogger("node")

LOOK_S = 0.5
HEARTBEAT_S = 2.0
FEEDBACK_S = 1.0
FEEDBACK_OF_LATE = 30
RESTORE_REST_S = 30.0
STOP_PATIENCE_S = 10.0


class Keeper:
    """Looks at Triton twice a second and brings back what is missing."""

    def __init__(self, agent: NodeAgent, triton: TritonControl, ready_file: Path) -> None:
        self._agent = agent
        self._triton = triton
        self._ready_file = ready_file
        self._problem = "starting"
        self._version = ""
        self._failed_restores = 0
        self._restore_after = 0.0

    def look(self) -> None:
        """One look; what is missing is loaded, arms before routers."""
        try:
            missing = self._agent.missing()
            if missing:
                self._bring_back(missing)
            else:
                self._problem, self._failed_restores = "", 0
            self._version = self._version or self._triton.server_version()
        except TritonError as error:
            self._version = ""
            self._unready(str(error))
        if not self._problem:
            self._ready()

    def _bring_back(self, missing: list[str]) -> None:
        """Restores, at growing intervals while something cannot be restored."""
        if time.monotonic() < self._restore_after:
            return
        self._unready("bringing back " + ", ".join(missing))
        failures = self._agent.restore(lambda name: logger.info("loading %s", name))
        self._problem = "; ".join(failures)
        if failures:
            self._failed_restores += 1
            rest = min(RESTORE_REST_S, LOOK_S * 2**self._failed_restores)
            self._restore_after = time.monotonic() + rest
            logger.warning("%s; trying again in %.0f s", self._problem, rest)

    def heartbeat(self) -> None:
        """Tells the control plane; it may be down, and this node serves all the same."""
        held: list[HeldModel] = []
        with contextlib.suppress(TritonError):
            held = list(self._triton.index())
        try:
            close_old_connections()
            heartbeat(
                name=settings.NEREID_NODE_NAME,
                now=wiring.clock().now(),
                ready=not self._problem,
                reason=self._problem,
                triton_version=self._version,
                held=held,
                cores=len(os.sched_getaffinity(0)),
                backends=wiring.backends(),
            )
        except DatabaseError as error:
            logger.warning("no heartbeat: %s", str(error).strip().partition("\n")[0])

    def _ready(self) -> None:
        if not self._ready_file.exists():
            self._ready_file.write_text(json.dumps({"pid": os.getpid()}))
            logger.info("Triton holds everything it should")

    def _unready(self, problem: str) -> None:
        if problem != self._problem:
            logger.info("not ready: %s", problem)
        self._problem = problem
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
                answered=wiring.request_log(),
                clock=wiring.clock(),
                all_that_wait=self._looks % FEEDBACK_OF_LATE == 1,
            )
        except (SQLAlchemyError, RequestLogError, OSError) as error:
            if self._looks % FEEDBACK_OF_LATE == 1:
                said = str(error).strip().partition("\n")[0]
                logger.warning("feedback waits for its arm: %s", said)


def main() -> int:
    """Runs until it is told to stop."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    settings.NEREID_NODE_STATE.mkdir(parents=True, exist_ok=True)
    ready_file = settings.NEREID_NODE_STATE / "ready.json"
    ready_file.unlink(missing_ok=True)
    keeper = Keeper(wiring.node_agent(), wiring.triton_control(), ready_file)
    # On a thread of its own: bringing back a large model must not look like a dead node.
    for interval_s, duty in ((HEARTBEAT_S, keeper.heartbeat), (FEEDBACK_S, Labeller().answer)):
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

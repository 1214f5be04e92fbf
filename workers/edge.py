"""What writes the edge's files: `python -m workers.edge`.

It looks at the fleet once a second and replaces what says something else by now, and every few
seconds at Envoy, and says in the database how that is. Where the control plane's database is away,
what was written last holds: the edge goes on, and looks at the gates of the servers by itself.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from control_plane.starting import set_up

set_up()

from django.db import Error as DatabaseError  # noqa: E402 - Django has to be set up before these
from django.db import close_old_connections  # noqa: E402

from control_plane import wiring  # noqa: E402
from control_plane.adapters.edge.addresses import Addresses  # noqa: E402
from control_plane.adapters.edge.administration import look_at  # noqa: E402
from control_plane.adapters.edge.environment import EdgeSettingsError, edge_options  # noqa: E402
from control_plane.adapters.edge.files import descriptors, write_files  # noqa: E402
from control_plane.domain.edge.files import BOOTSTRAP, DESCRIPTORS, edge_files  # noqa: E402
from control_plane.domain.edge.fleet import EdgeFleet  # noqa: E402
from control_plane.domain.edge.options import EdgeOptions  # noqa: E402
from control_plane.domain.edge.sight import versions_of  # noqa: E402
from control_plane.endpoints.edge import servers_for_edge  # noqa: E402
from control_plane.fleet.edges import forget_edge, note_edge  # noqa: E402

logger = logging.getLogger("edge")

LOOK_S = 1.0
"""Well below the five seconds in which whoever balances has to have looked."""

TELL_S = 5.0
OWN_NAME = "edge"

UP_TO_DATE = "the edge's files are up to date"


class EdgeWriter:
    """Keeps the files of one edge at what the fleet is and the operator says; tells how Envoy is.

    Args:
        asked: what the operator says, with what lies in his files now.
        name: what the edge is called among others.

    Raises:
        EdgeSettingsError: it cannot be, at the start; later what was said before holds.
    """

    def __init__(self, asked: Callable[[], EdgeOptions], name: str) -> None:
        self._asked = asked
        self._options = asked()
        self._name = name
        self._written: dict[str, str] = {}
        self._tell_after = 0.0
        self._addresses = Addresses()
        self._messages = descriptors()
        self._fleet: EdgeFleet | None = None
        self._trouble = ""
        self._is_first = True

    def look(self) -> None:
        """One look; what cannot be read or written now is tried at the next."""
        trouble = ""
        try:
            self._options = self._asked()
        except EdgeSettingsError as error:
            trouble = str(error)
        try:
            close_old_connections()
            self._fleet, is_there = self._addresses.fleet(servers_for_edge()), True
        except DatabaseError as error:
            trouble, is_there = str(error), False
        try:
            if self._fleet is not None:  # also with the database away: a token may have been taken
                self._write(self._fleet)
            if is_there:
                self._tell_of_envoy()
        except (DatabaseError, OSError) as error:
            trouble = str(error)
        self._complain(trouble.strip().partition("\n")[0])

    def stop(self) -> None:
        """Says that this edge is to be missed by nobody."""
        with contextlib.suppress(DatabaseError):
            forget_edge(name=self._name)

    def _tell_of_envoy(self) -> None:
        if time.monotonic() < self._tell_after:
            return
        seen = look_at(self._options.admin, self._written)
        note_edge(name=self._name, seen=seen, now=wiring.clock().now())
        self._tell_after = time.monotonic() + TELL_S

    def _write(self, fleet: EdgeFleet) -> None:
        texts = edge_files(self._options, fleet)
        self._written = versions_of(texts)
        files = {name: text.encode() for name, text in texts.items()}
        folder = Path(self._options.folder)
        changed = write_files(folder, {DESCRIPTORS: self._messages, **files})
        if changed:
            logger.info("written: %s (%d servers)", ", ".join(changed), len(fleet.servers))
        if changed or self._is_first:
            logger.info(UP_TO_DATE)
        self._is_first = False

    def _complain(self, trouble: str) -> None:
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if not trouble:
            return
        held = (Path(self._options.folder) / BOOTSTRAP).exists()
        logger.warning("%s; %s", trouble, "what was written holds" if held else "nothing is there")


def main() -> int:
    """Runs until it is told to stop; 2 where the environment asks for what cannot be."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    folder = Path(os.environ.get("NEREID_EDGE_FOLDER") or "/var/lib/nereid/edge")
    admin = Path(os.environ.get("NEREID_EDGE_ADMIN") or folder / "admin.sock")
    try:
        writer = EdgeWriter(
            lambda: edge_options(os.environ, folder=folder, admin=admin),
            os.environ.get("NEREID_EDGE_NAME") or OWN_NAME,
        )
    except EdgeSettingsError as error:
        logger.error("%s", error)
        return 2
    while not stopping.is_set():
        writer.look()
        stopping.wait(LOOK_S)
    writer.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())

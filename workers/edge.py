"""What writes the edge's files: `python -m workers.edge`.

It looks at the fleet once a second and replaces what says something else by now. Where the control
plane's database is away, what was written last holds: the edge goes on, and looks at the gates of
the servers by itself.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "control_plane.settings")
django.setup()

from django.db import Error as DatabaseError  # noqa: E402 - Django has to be set up before these
from django.db import close_old_connections  # noqa: E402

from control_plane.adapters.edge.addresses import Addresses  # noqa: E402
from control_plane.adapters.edge.environment import EdgeSettingsError, edge_options  # noqa: E402
from control_plane.adapters.edge.files import descriptors, write_files  # noqa: E402
from control_plane.domain.edge.files import BOOTSTRAP, DESCRIPTORS, edge_files  # noqa: E402
from control_plane.domain.edge.fleet import EdgeFleet  # noqa: E402
from control_plane.domain.edge.options import EdgeOptions  # noqa: E402
from control_plane.endpoints.edge import servers_for_edge  # noqa: E402

logger = logging.getLogger("edge")

LOOK_S = 1.0
"""Well below the five seconds in which whoever balances has to have looked."""

UP_TO_DATE = "the edge's files are up to date"


class EdgeWriter:
    """Keeps the files of one edge at what the fleet is."""

    def __init__(self, options: EdgeOptions) -> None:
        self._options = options
        self._addresses = Addresses()
        self._messages = descriptors()
        self._trouble = ""
        self._is_first = True

    def look(self) -> None:
        """One look; what cannot be read or written now is tried at the next."""
        try:
            close_old_connections()
            self._write(self._addresses.fleet(servers_for_edge()))
        except (DatabaseError, OSError) as error:
            self._tell(str(error).strip().partition("\n")[0])
            return
        self._trouble = ""

    def _write(self, fleet: EdgeFleet) -> None:
        files = {name: text.encode() for name, text in edge_files(self._options, fleet).items()}
        folder = Path(self._options.folder)
        changed = write_files(folder, {DESCRIPTORS: self._messages, **files})
        if changed:
            logger.info("written: %s (%d servers)", ", ".join(changed), len(fleet.servers))
        if changed or self._is_first:
            logger.info(UP_TO_DATE)
        self._is_first = False

    def _tell(self, trouble: str) -> None:
        if trouble == self._trouble:
            return
        self._trouble = trouble
        held = (Path(self._options.folder) / BOOTSTRAP).exists()
        logger.warning("%s; %s", trouble, "what was written holds" if held else "nothing is there")


def main() -> int:
    """Runs until it is told to stop; 2 where the environment asks for what cannot be."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    folder = Path(os.environ.get("NEREID_EDGE_FOLDER") or "/var/lib/nereid/edge")
    admin = Path(os.environ.get("NEREID_EDGE_ADMIN") or folder / "admin.sock")
    try:
        options = edge_options(os.environ, folder=folder, admin=admin)
    except EdgeSettingsError as error:
        logger.error("%s", error)
        return 2
    writer = EdgeWriter(options)
    while not stopping.is_set():
        writer.look()
        stopping.wait(LOOK_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Envoy's administration, asked at its socket."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any

from control_plane.domain.edge.sight import AWAY, EdgeSight, sight

PATIENCE_S = 2.0


class _Admin(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("edge", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask_admin(admin: str, path: str) -> bytes:
    """What Envoy's administration answers at that socket.

    Raises:
        OSError: it does not.
    """
    connection = _Admin(admin)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    except http.client.HTTPException as error:
        raise OSError(f"the edge's administration: {error}") from None
    finally:
        connection.close()


def look_at(admin: str, written: Mapping[str, str]) -> EdgeSight:
    """How the Envoy at that socket is; one that does not answer is away.

    Args:
        written: the version of each of its files as it was written last.
    """

    def document(path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(ask_admin(admin, path))
        return found

    try:
        return sight(
            ready=ask_admin(admin, "/ready"),
            listeners=document("/listeners?format=json"),
            clusters=document("/clusters?format=json"),
            stats=document("/stats?format=json&type=TextReadouts&filter=version_text$"),
            written=written,
        )
    except (OSError, ValueError):
        return AWAY

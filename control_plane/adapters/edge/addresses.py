"""Names of servers, looked up: the proxy is told addresses."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from control_plane.domain.edge.fleet import Address, EdgeFleet, EdgeServer, KnownServer

logger = logging.getLogger("edge")


@dataclass
class Addresses:
    """Looks names up anew each time; one that cannot be looked up now stays where it was."""

    _known: dict[str, str] = field(default_factory=dict)
    _asked: dict[str, str] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)

    def fleet(self, servers: Sequence[KnownServer]) -> EdgeFleet:
        """The servers whose addresses are known; of each of the others it is told once."""
        self._asked.clear()
        found, troubles = [], {}
        for server in servers:
            try:
                found.append(
                    EdgeServer(
                        server.name,
                        self._address(server.http),
                        self._address(server.grpc),
                        self._address(server.gate),
                        server.routes,
                    )
                )
            except ValueError as error:
                troubles[server.name] = str(error)
        for name, trouble in troubles.items():
            if self._told.get(name) != trouble:
                logger.warning("%s gets nothing: %s", name, trouble)
        self._told = troubles
        return EdgeFleet(tuple(found))

    def _address(self, text: str) -> Address:
        """Raises ValueError where it is none, or its name was never looked up."""
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise ValueError(f"{text!r} is not host:port")
        host = host.strip("[]")
        if host not in self._asked:
            self._asked[host] = self._look_up(host)
        if host not in self._known:
            raise ValueError(f"{host} cannot be looked up: {self._asked[host]}")
        return Address(self._known[host], int(port))

    def _look_up(self, host: str) -> str:
        """Once a look, as a resolver may take seconds to say no; returns why it cannot be now."""
        try:
            info = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            return str(error)
        found = sorted(str(one[4][0]) for one in info)
        # The same one as before where a name has several: an address is not to flap.
        if self._known.get(host) not in found:
            self._known[host] = found[0]
        return ""

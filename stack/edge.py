"""The edge of one stack: Envoy in front of its servers, and what writes Envoy's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from control_plane.adapters.edge.administration import look_at
from control_plane.adapters.edge.environment import edge_options
from control_plane.domain.edge.options import EdgeOptions
from control_plane.domain.edge.sight import PROTOCOLS, sends_to
from stack.ports import can_be_bound, free_port
from stack.sockets import socket_folder

PORTS = {"http_port": "NEREID_EDGE_HTTP_PORT", "grpc_port": "NEREID_EDGE_GRPC_PORT"}
OWN_PREFIX = "NEREID_EDGE_"
ADMIN_SOCKET = "edge.sock"
PROCESSES = ("edge", "edge-files")


@dataclass(frozen=True)
class StackEdge:
    """What the edge is told, and the variables whose ports somebody asked for."""

    options: EdgeOptions
    host: str
    given: Mapping[str, str]

    @property
    def http(self) -> str:
        return f"{self._scheme}://{self.host}:{self.options.http_port}"

    @property
    def grpc(self) -> str:
        return f"{self.host}:{self.options.grpc_port}"

    @property
    def bootstrap(self) -> Path:
        return Path(self.options.path("bootstrap.json"))

    @property
    def _scheme(self) -> str:
        return "https" if self.options.tls else "http"

    def ports(self) -> dict[str, int]:
        """Its ports that somebody asked for, by variable."""
        return {
            variable: getattr(self.options, field)
            for field, variable in PORTS.items()
            if self.given.get(variable)
        }

    def settled(self, bind: str, taken: set[int], run_dir: Path) -> StackEdge:
        """The same with ports that are to be had, and a socket whose path is short enough."""
        used, ports = set(taken), {}
        for field in PORTS:
            port = getattr(self.options, field)
            asked_for = PORTS[field] in self.ports()
            while not asked_for and (port in used or not can_be_bound(bind, port)):
                port = free_port()
            used.add(port)
            ports[field] = port
        admin = socket_folder(run_dir, ADMIN_SOCKET) / ADMIN_SOCKET
        return replace(self, options=replace(self.options, admin=str(admin), **ports))

    def variables(self) -> dict[str, str]:
        """What tells the writer of its files which edge it is."""
        options = self.options
        said = {name: text for name, text in self.given.items() if name.startswith(OWN_PREFIX)}
        return said | {
            "NEREID_EDGE_FOLDER": options.folder,
            "NEREID_EDGE_ADMIN": options.admin,
            "NEREID_EDGE_BIND": options.host,
            "NEREID_EDGE_HTTP_PORT": str(options.http_port),
            "NEREID_EDGE_GRPC_PORT": str(options.grpc_port),
        }


def edge_of(environment: Mapping[str, str], home: Path, host: str) -> StackEdge:
    """The edge that the environment asks for.

    Args:
        host: the address at which it is called from this machine.

    Raises:
        EdgeSettingsError: it cannot be; names the variable.
    """
    admin = home / "run" / ADMIN_SOCKET
    options = edge_options(environment, folder=home / "edge", admin=admin)
    return StackEdge(options, host, dict(environment))


def command(edge: StackEdge, envoy: Path) -> list[str]:
    """Envoy's command line. Its hot restart would tie two stacks of one machine together."""
    return [
        *(str(envoy), "-c", str(edge.bootstrap), "--disable-hot-restart"),
        *("--log-level", "warning", "--log-format", "%l %n: %v", "--concurrency", "2"),
    ]


def is_live(edge: StackEdge) -> bool:
    """Whether it has read its files and listens: it is live without a listener that it refused."""
    seen = look_at(edge.options.admin, {})
    return seen.live and seen.listeners.keys() == set(PROTOCOLS)


def healthy(edge: StackEdge) -> set[str]:
    """The servers that it sends requests to, over both protocols."""
    return sends_to(look_at(edge.options.admin, {}))

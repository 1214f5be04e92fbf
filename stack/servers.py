"""The servers of one stack: each a Triton with its node, on ports and in folders of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stack.ports import can_be_bound, free_port

MOST = 16
STEP = 10
"""How far the ports of a server lie above those of the one before."""

VARIABLES = {
    "http_port": "NEREID_TRITON_HTTP_PORT",
    "grpc_port": "NEREID_TRITON_GRPC_PORT",
    "metrics_port": "NEREID_TRITON_METRICS_PORT",
    "node_port": "NEREID_NODE_PORT",
}
"""What sets each port of the first server; those of others have `_2`, `_3`, … behind it."""

SAID = ("NEREID_SERVER_LABELS", "NEREID_SERVER_MEMORY")
"""What a node says of its server in the operator's words, and the stack passes on as it came."""


@dataclass(frozen=True)
class StackServer:
    """One Triton and its node. `number` counts from 1; `said` are the operator's words of it.

    `asked_for` are the variables whose ports somebody named: these are taken, or nothing is.
    """

    number: int
    name: str
    host: str
    http_port: int
    grpc_port: int
    metrics_port: int
    node_port: int
    node_home: Path
    model_repository: Path
    said: Mapping[str, str]
    asked_for: frozenset[str] = frozenset()

    def process(self, kind: str) -> str:
        """What its `triton` or `node` is called among the stack's processes."""
        return kind if self.number == 1 else f"{kind}-{self.number}"

    def variable(self, field: str) -> str:
        """The variable that sets one of its ports."""
        return numbered(VARIABLES[field], self.number)

    @property
    def http(self) -> str:
        return f"{self.host}:{self.http_port}"

    @property
    def grpc(self) -> str:
        return f"{self.host}:{self.grpc_port}"

    @property
    def metrics(self) -> str:
        return f"http://{self.host}:{self.metrics_port}/metrics"

    @property
    def gate(self) -> str:
        """Where its node says whether it may be sent requests."""
        return f"http://{self.host}:{self.node_port}"

    @property
    def state_dir(self) -> Path:
        return self.node_home / "state"

    def ports(self) -> dict[str, int]:
        """Its ports that somebody asked for, by variable."""
        every = {self.variable(field): getattr(self, field) for field in VARIABLES}
        return {name: port for name, port in every.items() if name in self.asked_for}

    def on(self, ports: Mapping[str, int]) -> StackServer:
        """The same on other ports; those that are not named stay."""
        return replace(
            self,
            http_port=ports.get("http_port", self.http_port),
            grpc_port=ports.get("grpc_port", self.grpc_port),
            metrics_port=ports.get("metrics_port", self.metrics_port),
            node_port=ports.get("node_port", self.node_port),
        )

    def variables(self) -> dict[str, str]:
        """What tells a node that it is this server's."""
        return {
            "NEREID_NODE_NAME": self.name,
            "NEREID_TRITON_URL": self.http,
            "NEREID_TRITON_GRPC": self.grpc,
            "NEREID_TRITON_METRICS": self.metrics,
            "NEREID_MODEL_REPOSITORY": str(self.model_repository),
            "NEREID_TRITON_BACKENDS": str(self.node_home / "backends"),
            "NEREID_REQUEST_LOG": str(self.node_home / "answered"),
            "NEREID_NODE_PORT": str(self.node_port),
            **self.said,
        }


def said_of(number: int, environment: Mapping[str, str]) -> dict[str, str]:
    """What the environment says of the server of that number; empty where it is silent."""
    return {name: environment.get(numbered(name, number), "") for name in SAID}


def numbered(variable: str, number: int) -> str:
    return variable if number == 1 else f"{variable}_{number}"


def further(first: StackServer, number: int, home: Path, given: Mapping[str, int]) -> StackServer:
    """The server of that number beside the first; `given` are the ports that are asked for."""
    name = f"{first.name}-{number}"
    ports = {
        field: given.get(numbered(variable, number), getattr(first, field) + STEP * (number - 1))
        for field, variable in VARIABLES.items()
    }
    node_home = home / "nodes" / name
    beside = replace(
        first,
        number=number,
        name=name,
        node_home=node_home,
        model_repository=node_home / "repository",
        asked_for=frozenset(given),
    )
    return beside.on(ports)


def settled(
    servers: tuple[StackServer, ...], bind: str, taken: set[int]
) -> tuple[StackServer, ...]:
    """The same servers, with a free port for each that nobody asked for and that is not to be had.

    `taken` are the ports that the rest of the stack takes.
    """
    used = taken | {port for server in servers for port in server.ports().values()}
    found = []
    for server in servers:
        ports: dict[str, int] = {}
        for field in VARIABLES:
            if server.variable(field) in server.asked_for:
                continue
            port = getattr(server, field)
            while port in used or not can_be_bound(bind, port):
                port = free_port()  # of this machine's own address: bound to others, it is tried
            used.add(port)
            ports[field] = port
        found.append(server.on(ports))
    return tuple(found)

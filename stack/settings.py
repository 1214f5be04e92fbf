"""Everything the supervisor is told from outside, read once: environment, paths and secrets."""

import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from control_plane.adapters.edge.environment import EdgeSettingsError
from control_plane.adapters.machines import DEFAULT_SERVER, hardware_names, server_names
from control_plane.adapters.private_files import write_private
from control_plane.adapters.secret_files import SecretFileError, with_secrets
from stack.edge import StackEdge, edge_of
from stack.passed_on import PASSED_ON
from stack.servers import MOST, VARIABLES, StackServer, further, numbered, said_of, settled

CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT_HOME = CHECKOUT / ".nereid"
LOOPBACK = "127.0.0.1"
EVERY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound to

PORT_VARIABLES = {
    "NEREID_HTTP_PORT": 8080,
    "NEREID_TRITON_HTTP_PORT": 8000,
    "NEREID_TRITON_GRPC_PORT": 8001,
    "NEREID_TRITON_METRICS_PORT": 8002,
}
NODE_PORT = 8003


class SettingsError(ValueError):
    """The environment asks for something that cannot be."""


@dataclass(frozen=True)
class Secrets:
    """Made at the first start and kept, so that sessions and clients survive a restart."""

    secret_key: str = field(repr=False)
    control_key: str = field(repr=False)
    shm_key: str = field(repr=False)


@dataclass(frozen=True)
class StackSettings:
    home: Path
    bind: str
    http_port: int
    triton_http_port: int
    triton_grpc_port: int
    triton_metrics_port: int
    node_name: str
    model_repository: Path
    forward_headers: str
    server_config: str
    hardware: str
    database_url: str | None = field(repr=False)
    broker_url: str | None = field(repr=False)
    triton_url: str | None
    triton_grpc_url: str | None
    triton_metrics_url: str | None
    servers: tuple[StackServer, ...]
    edge: StackEdge | None
    environment: Mapping[str, str] = field(repr=False)

    @property
    def embeds_postgres(self) -> bool:
        return self.database_url is None

    @property
    def embeds_broker(self) -> bool:
        return self.broker_url is None

    @property
    def embeds_triton(self) -> bool:
        return self.triton_url is None

    @property
    def run_dir(self) -> Path:
        return self.home / "run"

    @property
    def log_dir(self) -> Path:
        return self.home / "logs"

    @property
    def first(self) -> StackServer:
        """The server that is there in any case; one elsewhere has its node here all the same."""
        return self.servers[0]

    @property
    def node_home(self) -> Path:
        return self.first.node_home

    @property
    def secrets_file(self) -> Path:
        return self.home / "secrets.json"

    @property
    def stack_file(self) -> Path:
        return self.home / "stack.json"

    @property
    def environment_file(self) -> Path:
        """What `python -m stack env` prints; private, because it holds every key."""
        return self.run_dir / "environment.json"

    @property
    def credentials_file(self) -> Path:
        return self.home / "credentials.json"

    @property
    def reachable_host(self) -> str:
        """What a client on this machine dials: a server on every interface is called locally."""
        return LOOPBACK if self.bind in EVERY_ADDRESS else self.bind

    @property
    def api_origin(self) -> str:
        return f"http://{self.reachable_host}:{self.http_port}"

    @property
    def triton_http(self) -> str:
        return self.triton_url or f"{self.reachable_host}:{self.triton_http_port}"

    @property
    def triton_grpc(self) -> str:
        return self.triton_grpc_url or f"{self.reachable_host}:{self.triton_grpc_port}"

    @property
    def triton_metrics(self) -> str:
        default = f"http://{self.reachable_host}:{self.triton_metrics_port}/metrics"
        return self.triton_metrics_url or default

    def ports(self) -> dict[str, int]:
        """The ports that our own processes will take, by the variable that sets each."""
        wanted = {"NEREID_HTTP_PORT": self.http_port}
        for server in self.servers:
            wanted |= server.ports()
        return wanted | (self.edge.ports() if self.edge else {})

    def settled(self) -> "StackSettings":
        """The same, with free ports in place of those that nobody asked for and that are taken."""
        asked_for = {self.http_port, *(self.edge.ports().values() if self.edge else ())}
        servers = settled(self.servers, self.bind, asked_for)
        if self.edge is None:
            return replace(self, servers=servers)
        taken = {getattr(server, field) for server in servers for field in VARIABLES}
        edge = self.edge.settled(self.bind, taken | {self.http_port}, self.run_dir)
        return replace(self, servers=servers, edge=edge)


def load(environment: Mapping[str, str] | None = None) -> StackSettings:
    try:
        given = with_secrets(os.environ if environment is None else environment)
    except SecretFileError as error:
        raise SettingsError(str(error)) from error
    home = _path(given, "NEREID_HOME", DEFAULT_HOME)
    live = Path("model_repository") / "live"
    repository = CHECKOUT / live if home == DEFAULT_HOME else home / live
    triton_url = _address(given, "NEREID_TRITON_URL")
    triton_host = triton_url.rpartition(":")[0] if triton_url else None
    ports = {name: _port(given, name, default) for name, default in PORT_VARIABLES.items()}
    bind = given.get("NEREID_BIND") or LOOPBACK
    model_repository = _path(given, "NEREID_MODEL_REPOSITORY", repository)
    node_name = given.get("NEREID_NODE_NAME") or "local"
    return StackSettings(
        home=home,
        bind=bind,
        http_port=ports["NEREID_HTTP_PORT"],
        triton_http_port=ports["NEREID_TRITON_HTTP_PORT"],
        triton_grpc_port=ports["NEREID_TRITON_GRPC_PORT"],
        triton_metrics_port=ports["NEREID_TRITON_METRICS_PORT"],
        node_name=node_name,
        model_repository=model_repository,
        forward_headers=given.get("NEREID_FORWARD_HEADERS", ""),
        server_config=_named(given, "NEREID_SERVER_CONFIG", server_names()) or DEFAULT_SERVER,
        hardware=_named(given, "NEREID_HARDWARE", hardware_names()),
        database_url=given.get("DATABASE_URL") or None,
        broker_url=given.get("CELERY_BROKER_URL") or None,
        triton_url=triton_url,
        # An external Triton most likely keeps its other two ports where Triton has them.
        triton_grpc_url=_address(given, "NEREID_TRITON_GRPC")
        or (f"{triton_host}:{ports['NEREID_TRITON_GRPC_PORT']}" if triton_host else None),
        triton_metrics_url=given.get("NEREID_TRITON_METRICS")
        or (
            f"http://{triton_host}:{ports['NEREID_TRITON_METRICS_PORT']}/metrics"
            if triton_host
            else None
        ),
        servers=_servers(
            given,
            ports,
            home=home,
            bind=bind,
            name=node_name,
            model_repository=model_repository,
            embedded=triton_url is None,
        ),
        edge=_edge(given, home, bind),
        environment=given,
    )


def _edge(given: Mapping[str, str], home: Path, bind: str) -> StackEdge | None:
    if given.get("NEREID_EDGE", "0") in ("", "0"):
        return None
    try:
        return edge_of(given, home, LOOPBACK if bind in EVERY_ADDRESS else bind)
    except EdgeSettingsError as error:
        raise SettingsError(str(error)) from None


def _servers(
    given: Mapping[str, str],
    ports: Mapping[str, int],
    *,
    home: Path,
    bind: str,
    name: str,
    model_repository: Path,
    embedded: bool,
) -> tuple[StackServer, ...]:
    """The first server, and as many more as are asked for."""
    count = _count(given, "NEREID_SERVERS", most=MOST)
    if count > 1 and not embedded:
        raise SettingsError(
            f"NEREID_SERVERS={count}: with NEREID_TRITON_URL the server is elsewhere, and only "
            "servers that are started here can be several"
        )
    # Triton's own ports are what clients were told: they are taken, or nothing is started.
    asked_for = set(ports) - {"NEREID_HTTP_PORT"} if embedded else set()
    if given.get("NEREID_NODE_PORT"):
        asked_for.add("NEREID_NODE_PORT")
    first = StackServer(
        number=1,
        name=name,
        host=LOOPBACK if bind in EVERY_ADDRESS else bind,
        http_port=ports["NEREID_TRITON_HTTP_PORT"],
        grpc_port=ports["NEREID_TRITON_GRPC_PORT"],
        metrics_port=ports["NEREID_TRITON_METRICS_PORT"],
        node_port=_port(given, "NEREID_NODE_PORT", NODE_PORT),
        node_home=home / "nodes" / name,
        model_repository=model_repository,
        said=said_of(1, given),
        asked_for=frozenset(asked_for),
    )
    found = [first]
    for number in range(2, count + 1):
        variables = [numbered(variable, number) for variable in VARIABLES.values()]
        named = {one: _port(given, one, 0) for one in variables if given.get(one)}
        beside = further(first, number, home, named)
        found.append(replace(beside, said=said_of(number, given)))
    return tuple(found)


def _count(given: Mapping[str, str], name: str, *, most: int) -> int:
    text = given.get(name) or "1"
    if not text.isdecimal() or not 0 < int(text) <= most:
        raise SettingsError(f"{name}={text}: a whole number from 1 to {most}")
    return int(text)


def _named(given: Mapping[str, str], variable: str, names: Sequence[str]) -> str:
    name = given.get(variable, "")
    if name and name not in names:
        raise SettingsError(f"{variable}={name}: there are {', '.join(names)} (triton_configs/)")
    return name


def _path(given: Mapping[str, str], name: str, default: Path) -> Path:
    return Path(given[name]).expanduser().resolve() if given.get(name) else default


def _port(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise SettingsError(f"{name}={text}: a port is a whole number from 1 to 65535")
    return int(text)


def _address(given: Mapping[str, str], name: str) -> str | None:
    text = (given.get(name) or "").removeprefix("http://").rstrip("/")
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise SettingsError(f"{name}={given[name]}: expected host:port, e.g. triton:8000")
    return text


def load_secrets(settings: StackSettings) -> Secrets:
    """The kept secrets, made now where there are none; the environment's own go first."""
    path = settings.secrets_file
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    names = ("secret_key", "control_key", "shm_key")
    complete = {name: kept.get(name) or secrets.token_urlsafe(32) for name in names}
    if complete != kept:
        write_private(path, json.dumps(complete, indent=2) + "\n")
    path.chmod(0o600)
    given = settings.environment
    return Secrets(
        secret_key=given.get("NEREID_SECRET_KEY") or complete["secret_key"],
        control_key=given.get("NEREID_TRITON_CONTROL_KEY") or complete["control_key"],
        shm_key=given.get("NEREID_TRITON_SHM_KEY") or complete["shm_key"],
    )


def child_environment(
    settings: StackSettings, keys: Secrets, *, database_url: str, broker_url: str
) -> dict[str, str]:
    """What each of our own Python processes is started with."""
    programs = Path(sys.prefix) / "bin"
    return ours(settings, keys, database_url=database_url, broker_url=broker_url) | {
        "PATH": os.pathsep.join([str(programs), settings.environment.get("PATH", os.defpath)]),
        "VIRTUAL_ENV": sys.prefix,
        "PYTHONUNBUFFERED": "1",
    }


def ours(
    settings: StackSettings, keys: Secrets, *, database_url: str, broker_url: str
) -> dict[str, str]:
    """The variables that name this stack: with them `manage.py` works on it from any shell."""
    given = settings.environment
    return {name: given[name] for name in PASSED_ON if name in given} | {
        "NEREID_HOME": str(settings.home),
        "NEREID_BIND": settings.bind,
        "NEREID_HTTP_PORT": str(settings.http_port),
        **settings.first.variables(),
        "NEREID_TRITON_HTTP_PORT": str(settings.triton_http_port),
        "NEREID_TRITON_GRPC_PORT": str(settings.triton_grpc_port),
        "NEREID_TRITON_METRICS_PORT": str(settings.triton_metrics_port),
        "NEREID_TRITON_URL": settings.triton_http,
        "NEREID_TRITON_GRPC": settings.triton_grpc,
        "NEREID_TRITON_METRICS": settings.triton_metrics,
        # Of a server elsewhere only whoever started us can say where its backends are listed.
        **(
            {}
            if settings.embeds_triton
            else {
                name: given.get(name, "")
                for name in (
                    *("NEREID_TRITON_BACKENDS", "NEREID_REQUEST_LOG"),
                    *("NEREID_RECORDINGS_ASKED", "NEREID_RECORDINGS"),
                )
            }
        ),
        # A Triton of our own is there to be tried out; NEREID_LAB=0 says otherwise.
        "NEREID_LAB": given.get("NEREID_LAB") or ("1" if settings.embeds_triton else ""),
        "NEREID_TRITON_CONTROL_KEY": keys.control_key,
        "NEREID_TRITON_SHM_KEY": keys.shm_key,
        "NEREID_SERVER_CONFIG": settings.server_config if settings.embeds_triton else "",
        "NEREID_HARDWARE": settings.hardware,
        "NEREID_FORWARD_HEADERS": settings.forward_headers,
        "NEREID_SECRET_KEY": keys.secret_key,
        "DATABASE_URL": database_url,
        "CELERY_BROKER_URL": broker_url,
    }

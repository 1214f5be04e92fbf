"""What the stack consists of: each process, and how one sees that it works."""

import http.client
import json
import re
import signal
import sys
from pathlib import Path

from control_plane.adapters.edge.binary import find_envoy
from control_plane.adapters.machines import load_server
from control_plane.adapters.tracing import traces_url
from stack import edge, triton
from stack.broker import STOP_SIGNAL as BROKER_STOP
from stack.broker import EmbeddedBroker
from stack.child import tied
from stack.postgres import STOP_SIGNAL as POSTGRES_STOP
from stack.postgres import EmbeddedPostgres
from stack.processes import Service
from stack.servers import StackServer
from stack.settings import CHECKOUT, Secrets, StackSettings

# The order in which they are listed; who waits for whom is said in stack.serve.
KINDS = ("postgres", "broker", "triton", "api", "worker", "beat", "node")
OF_EACH_SERVER = ("triton", "node")


def names(settings: StackSettings) -> list[str]:
    """Every process of a stack: one of each kind, and a pair for each further server."""
    pairs = [s.process(kind) for s in settings.servers[1:] for kind in OF_EACH_SERVER]
    return [*KINDS, *pairs, *(edge.PROCESSES if settings.edge else ())]


def kind_of(name: str) -> str:
    """What a process of that name is."""
    return name.partition("-")[0]


def postgres_service(server: EmbeddedPostgres, settings: StackSettings) -> Service:
    return Service(
        name="postgres",
        command=server.command,
        environment={"PATH": settings.environment.get("PATH", "")},
        cwd=Path("/"),
        prepare=server.prepare,
        ready=server.ready,
        stop_signal=POSTGRES_STOP,
        stop_within_s=30,
    )


def broker_service(server: EmbeddedBroker, settings: StackSettings) -> Service:
    return Service(
        name="broker",
        command=server.command,
        environment={"PATH": settings.environment.get("PATH", "")},
        cwd=server.folder.parent,
        prepare=server.prepare,
        ready=server.ready,
        stop_signal=BROKER_STOP,
    )


def triton_options(
    server: StackServer, settings: StackSettings, keys: Secrets
) -> triton.TritonOptions:
    return triton.TritonOptions(
        node_home=server.node_home,
        repository=server.model_repository,
        name=server.name,
        bind=settings.bind,
        http_port=server.http_port,
        grpc_port=server.grpc_port,
        metrics_port=server.metrics_port,
        control_key=keys.control_key,
        shm_key=keys.shm_key,
        forward_headers=settings.forward_headers,
        traces_url=traces_url(settings.environment),
        flags=load_server(settings.server_config),
    )


def triton_service(
    server: StackServer, options: triton.TritonOptions, settings: StackSettings
) -> Service:
    return Service(
        name=server.process("triton"),
        command=lambda: tied(triton.command(options)),
        environment=triton.environment(options),
        cwd=settings.home,
        prepare=lambda: triton.prepare(options),
        ready=lambda: triton.is_ready(options),
        ready_within_s=120,
        stop_within_s=options.exit_timeout_s + 5,
    )


def _python(*arguments: str) -> list[str]:
    return tied([sys.executable, "-m", *arguments])


def api_service(settings: StackSettings, environment: dict[str, str]) -> Service:
    bind = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    arguments = [
        *("gunicorn", "control_plane.wsgi:application", "--worker-class", "gthread"),
        *("--workers", "1", "--threads", "8", "--bind", f"{bind}:{settings.http_port}"),
        *("--graceful-timeout", "5", "--no-control-socket"),
    ]
    return Service(
        name="api",
        command=lambda: _python(*arguments),
        environment=environment,
        cwd=CHECKOUT,
        ready=lambda: api_is_ready(settings.reachable_host, settings.http_port),
        stop_within_s=10,
    )


def api_is_ready(host: str, port: int) -> bool:
    """It answers and reaches its database; the body says so also while other parts are missing."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/api/v1/health/", headers={"Accept": "application/json"})
        body = json.loads(connection.getresponse().read())
        return bool(body["checks"]["database"] == "ok")
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False
    finally:
        connection.close()


def heard_of(settings: StackSettings, token: str) -> set[str]:
    """The servers whose nodes were heard of."""
    connection = http.client.HTTPConnection(settings.reachable_host, settings.http_port, timeout=5)
    headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
    try:
        connection.request("GET", "/api/v1/servers/?limit=100", headers=headers)
        servers = json.loads(connection.getresponse().read())["results"]
        return {str(server["name"]) for server in servers if server["last_seen_at"]}
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return set()
    finally:
        connection.close()


def worker_service(environment: dict[str, str]) -> Service:
    return Service(
        name="worker",
        command=lambda: _python("workers.control"),
        environment=environment,
        cwd=CHECKOUT,
        ready_line=re.compile(r"worker@\S+ ready\."),
        ready_within_s=120,
        stop_within_s=20,
    )


def beat_service(settings: StackSettings, environment: dict[str, str]) -> Service:
    schedule = settings.run_dir / "celerybeat-schedule"
    arguments = [
        *("celery", "--quiet", "-A", "workers.app", "beat"),
        *("-s", str(schedule), "--loglevel", "INFO"),
    ]
    return Service(
        name="beat",
        command=lambda: _python(*arguments),
        environment=environment,
        cwd=CHECKOUT,
        ready_line=re.compile(r"beat: Starting"),
    )


def node_service(server: StackServer, environment: dict[str, str]) -> Service:
    ready_file = server.state_dir / "ready.json"
    return Service(
        name=server.process("node"),
        command=lambda: _python("workers.node"),
        # The first server's variables may name a Triton elsewhere.
        environment=environment if server.number == 1 else environment | server.variables(),
        cwd=CHECKOUT,
        # A file of the run before must not be taken for this run's.
        prepare=lambda: ready_file.unlink(missing_ok=True),
        ready=ready_file.exists,
        ready_within_s=120,
        stop_signal=signal.SIGTERM,
        stop_within_s=20,
    )


def edge_files_service(own: edge.StackEdge, environment: dict[str, str]) -> Service:
    return Service(
        name="edge-files",
        command=lambda: _python("workers.edge"),
        environment=environment | own.variables(),
        cwd=CHECKOUT,
        # With the database away what was written before is enough for Envoy to start with.
        ready_line=re.compile("the edge's files are up to date|what was written holds"),
    )


def edge_service(own: edge.StackEdge, settings: StackSettings) -> Service:
    return Service(
        name="edge",
        command=lambda: tied(edge.command(own, find_envoy())),
        environment={"PATH": settings.environment.get("PATH", "")},
        cwd=settings.home,
        prepare=find_envoy,  # the first time it is fetched, which takes as long as it takes
        ready=lambda: edge.is_live(own),
    )

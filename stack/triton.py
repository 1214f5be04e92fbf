"""Launching the Triton that the nvidia-pytriton wheel carries.

Everything that is special about that binary is said here once: how its restricted APIs are
spelled, what its environment needs; where its parts lie is `stack.triton_wheel`'s. Nothing in
site-packages is ever changed: the backend directory is filled under the node's own home.
"""

from __future__ import annotations

import filecmp
import http.client
import importlib.metadata
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from control_plane.adapters.machines import DEFAULT_SERVER, load_server
from control_plane.domain.serving.server_flags import ServerFlags
from stack.triton_leftovers import STUB, clean_leftovers
from stack.triton_wheel import (
    TritonUnavailableError,
    check_numpy,
    python_stub,
    wheel_libraries,
    wheel_root,
)

CHECKOUT = Path(__file__).resolve().parent.parent
TRAFFIC_LIBRARY = CHECKOUT / "backends" / "traffic" / "build" / "libtriton_traffic.so"
PYTHON_BASED_BACKENDS = (
    "cascade",
    "onnxruntime",
    "pytorch",
    "remote",
    "transform",
    "weighted_average",
)
SHARED_BY_BACKENDS = "python_based"

RUNTIMES = {"onnxruntime": "onnxruntime", "pytorch": "torch"}
"""The package that a Python-based backend runs models with."""

VERSION_FILE = "VERSION"
"""In a backend's folder, for whoever wants to know: the version of what it runs models with."""

CONTROL_HEADER = "nereid-control"
SHM_HEADER = "nereid-shm"
GRPC_KEY_PREFIX = "triton-grpc-protocol-"
CONTROL_APIS = "model-repository,trace,logging"
SHM_APIS = "shared-memory"

FORWARDED_HEADERS = "(?i)^x-(nereid|tenant|user|request)-.*"
NEVER_FORWARDED = ("authorization", "proxy-authorization", "cookie", "set-cookie")

# What the server and its Python stubs have no business knowing.
_WITHHELD_VARIABLES = (
    *("DATABASE_URL", "CELERY_BROKER_URL", "PYTHONHOME", "PYTHONPATH"),
    *("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"),
)
_WITHHELD_PREFIXES = ("NEREID_", "AWS_")


@dataclass(frozen=True, kw_only=True)
class TritonOptions:
    """One embedded server: where its state lies, where it listens, and who may steer it."""

    node_home: Path
    repository: Path
    name: str = "local"
    bind: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int = 8001
    metrics_port: int = 8002
    control_key: str = field(repr=False)
    shm_key: str = field(repr=False)
    forward_headers: str = ""
    traces_url: str = ""
    flags: ServerFlags = field(default_factory=lambda: load_server(DEFAULT_SERVER))

    @property
    def exit_timeout_s(self) -> int:
        """Idle keep-alive connections hold the exit so long, open gRPC channels for 5 s more."""
        return self.flags.exit_timeout_seconds

    @property
    def backend_directory(self) -> Path:
        return self.node_home / "backends"

    @property
    def request_log(self) -> Path:
        """Where the router says which arm answered which request; the node reads it."""
        return self.node_home / "answered"

    @property
    def recordings_asked(self) -> Path:
        """Where the node asks for recordings of callers' requests."""
        return self.node_home / "recordings-asked"

    @property
    def recordings(self) -> Path:
        """Where the router keeps them until the node has taken them."""
        return self.node_home / "recordings"

    @property
    def shm_prefix(self) -> str:
        return f"nereid_{self.name}_"

    @property
    def dial_address(self) -> str:
        """The address to call: a server bound to every interface is called locally."""
        return "127.0.0.1" if self.bind in ("", "0.0.0.0") else self.bind  # noqa: S104

    @property
    def http(self) -> str:
        return f"{self.dial_address}:{self.http_port}"

    @property
    def grpc(self) -> str:
        return f"{self.dial_address}:{self.grpc_port}"

    @property
    def metrics_url(self) -> str:
        return f"http://{self.dial_address}:{self.metrics_port}/metrics"


def control_headers(key: str) -> dict[str, dict[str, str]]:
    """Headers that open the model-repository, trace and logging APIs, for either protocol."""
    return {"http": {CONTROL_HEADER: key}, "grpc": {GRPC_KEY_PREFIX + CONTROL_HEADER: key}}


def shm_headers(key: str) -> dict[str, dict[str, str]]:
    """Headers that open the shared-memory APIs, for either protocol."""
    return {"http": {SHM_HEADER: key}, "grpc": {GRPC_KEY_PREFIX + SHM_HEADER: key}}


def header_pattern(extra: str) -> str:
    """One pattern of the headers to forward: ours and what the operator adds (comma-separated).

    Each addition is a regular expression of its own, matched against the whole name.
    """
    additions = [part.strip() for part in extra.split(",") if part.strip()]
    for addition in additions:
        _check_forwarded(addition)
    if not additions:
        return FORWARDED_HEADERS
    return "|".join([FORWARDED_HEADERS, *(f"^(?:{addition})$" for addition in additions)])


def _check_forwarded(addition: str) -> None:
    """Refuses what is no regular expression, and what lets a secret through.

    Triton compiles with RE2 and this is Python: what RE2 alone understands is refused, too.
    """
    try:
        # RE2 reads [[:alpha:]] as a class of letters, Python as a set of brackets and letters.
        if "[:" in addition:
            raise re.error("POSIX classes such as [:alpha:] are not taken")
        pattern = re.compile(addition, re.IGNORECASE)
    except re.error as error:
        raise ValueError(
            f"NEREID_FORWARD_HEADERS: {addition!r} is no regular expression: {error}"
        ) from error
    for header in NEVER_FORWARDED:
        if pattern.fullmatch(header):
            raise ValueError(
                f"NEREID_FORWARD_HEADERS: {addition!r} takes in {header}, which is never forwarded"
            )


def assemble_backend_directory(node_home: Path, *, traffic_library: Path = TRAFFIC_LIBRARY) -> Path:
    """Fill `<node home>/backends/` with what Triton may load, and with nothing else."""
    if not traffic_library.exists():
        raise TritonUnavailableError(
            f"{traffic_library} is missing: build it with `python -m backends.build`"
        )
    check_numpy()
    python = wheel_root() / "backends" / "python"
    wanted = {
        "python": {
            "libtriton_python.so": python / "libtriton_python.so",
            "triton_python_backend_utils.py": python / "triton_python_backend_utils.py",
            STUB: python_stub(),
        },
        "traffic": {"libtriton_traffic.so": traffic_library},
    }
    for name in PYTHON_BASED_BACKENDS:
        wanted[name] = {
            str(source.relative_to(folder)): source
            for folder in (CHECKOUT / "backends" / SHARED_BY_BACKENDS, CHECKOUT / "backends" / name)
            for source in sorted(folder.rglob("*.py"))
        }
    directory = node_home / "backends"
    directory.mkdir(parents=True, exist_ok=True)
    _remove_others(directory, wanted)
    for name, links in wanted.items():
        folder = directory / name
        if folder.is_symlink():
            folder.unlink()
        folder.mkdir(exist_ok=True)
        _remove_others(folder, [*links, VERSION_FILE])
        for link, target in links.items():
            (folder / link).parent.mkdir(exist_ok=True)
            _place(folder / link, target)
        if name in RUNTIMES:
            (folder / VERSION_FILE).write_text(f"{importlib.metadata.version(RUNTIMES[name])}\n")
    return directory


def _remove_others(directory: Path, keep: Iterable[str]) -> None:
    """Leaves the names given; of one with a folder in it (`ops/dates.py`) what it names there."""
    kept: dict[str, list[str]] = {}
    for name in keep:
        top, _, inner = name.partition("/")
        kept.setdefault(top, []).extend([inner] if inner else [])
    for entry in directory.iterdir():
        if entry.name in kept:
            if kept[entry.name] and entry.is_dir():
                _remove_others(entry, kept[entry.name])
        elif entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _place(target: Path, source: Path) -> None:
    """Makes `target` the same file as `source`, or a copy across file systems.

    No symbolic link: Triton refuses a backend library that resolves to outside its folder.
    """
    if target.exists() and not target.is_symlink() and filecmp.cmp(target, source):
        return
    fresh = target.with_name(f".{target.name}.new")
    fresh.unlink(missing_ok=True)
    try:
        fresh.hardlink_to(source)
    except OSError:
        shutil.copy2(source, fresh)
    fresh.replace(target)


def command(options: TritonOptions) -> list[str]:
    """The server's command line: starts empty, answers only to who holds the keys."""
    pattern = header_pattern(options.forward_headers)
    control = f"{CONTROL_APIS}:{CONTROL_HEADER}={options.control_key}"
    shm = f"{SHM_APIS}:{SHM_HEADER}={options.shm_key}"
    line = [
        str(wheel_root() / "bin" / "tritonserver"),
        f"--id={options.name}",
        f"--model-repository={options.repository}",
        "--model-control-mode=explicit",
        # A model that is absent or broken is the control plane's business, not a reason to
        # declare the whole server dead.
        "--strict-readiness=false",
        "--exit-on-error=false",
        f"--backend-directory={options.backend_directory}",
        f"--backend-config=python,shm-region-prefix-name={options.shm_prefix}",
        f"--backend-config=traffic,request-log={options.request_log}",
        f"--backend-config=traffic,recordings-asked={options.recordings_asked}",
        f"--backend-config=traffic,recordings={options.recordings}",
        f"--http-address={options.bind}",
        f"--http-port={options.http_port}",
        f"--grpc-address={options.bind}",
        f"--grpc-port={options.grpc_port}",
        f"--metrics-address={options.bind}",
        f"--metrics-port={options.metrics_port}",
        f"--http-header-forward-pattern={pattern}",
        f"--grpc-header-forward-pattern={pattern}",
        f"--http-restricted-api={control}",
        f"--http-restricted-api={shm}",
        f"--grpc-restricted-protocol={control}",
        f"--grpc-restricted-protocol={shm}",
        "--metrics-config=counter_latencies=true",
        # Summaries keep a window per model behind a lock: up to a third of the throughput.
        "--metrics-config=summary_latencies=false",
    ]
    if not _has_gpu():
        line += ["--allow-gpu-metrics=false", "--pinned-memory-pool-byte-size=0"]
    line += options.flags.flags(has_gpu=_has_gpu())
    if options.traces_url:
        line += _trace_flags(options)
    if options.flags.response_cache_bytes:
        line += [
            f"--cache-directory={wheel_root() / 'caches'}",
            f"--cache-config=local,size={options.flags.response_cache_bytes}",
        ]
    return line


def _trace_flags(options: TritonOptions) -> list[str]:
    """A span for each request that brings a trace along, and for one in a thousand others."""
    return [
        "--trace-config=mode=opentelemetry",
        "--trace-config=level=TIMESTAMPS",
        "--trace-config=rate=1000",
        f"--trace-config=opentelemetry,url={options.traces_url}",
        "--trace-config=opentelemetry,resource=service.name=triton",
        f"--trace-config=opentelemetry,resource=service.instance.id={options.name}",
    ]


def _has_gpu() -> bool:
    return Path("/dev/nvidiactl").exists()


def environment(options: TritonOptions) -> dict[str, str]:
    """The server's environment: this Python's packages for the stubs, and none of our secrets."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if key not in _WITHHELD_VARIABLES and not key.startswith(_WITHHELD_PREFIXES)
    }
    libraries = [str(wheel_libraries()), inherited.get("LD_LIBRARY_PATH", "")]
    path = [str(Path(sys.prefix) / "bin"), inherited.get("PATH", os.defpath)]
    return inherited | {
        "LD_LIBRARY_PATH": os.pathsep.join(part for part in libraries if part),
        "PATH": os.pathsep.join(path),
        "VIRTUAL_ENV": sys.prefix,
        "PYTHONUNBUFFERED": "1",
    }


def prepare(options: TritonOptions) -> None:
    """What has to be done before each launch; the server of this name must not be running."""
    options.repository.mkdir(parents=True, exist_ok=True)
    for folder in (options.recordings_asked, options.recordings):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # of what callers sent
    assemble_backend_directory(options.node_home)
    clean_leftovers(options.name)


def is_ready(options: TritonOptions, timeout_s: float = 1.0) -> bool:
    """One look at the server's own readiness, which says nothing about any model."""
    connection = http.client.HTTPConnection(
        options.dial_address, options.http_port, timeout=timeout_s
    )
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def wait_ready(
    options: TritonOptions,
    *,
    timeout_s: float = 60.0,
    alive: Callable[[], bool] = lambda: True,
) -> None:
    """Return when the server answers ready; `alive` ends the wait early when the process died."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not alive():
            raise TritonUnavailableError("tritonserver ended before it was ready")
        if is_ready(options):
            return
        time.sleep(0.05)
    raise TritonUnavailableError(
        f"tritonserver was not ready at {options.http} within {timeout_s:.0f} s"
    )

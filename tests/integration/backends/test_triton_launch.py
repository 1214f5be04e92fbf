"""The embedded Triton as the stack launches it: who may steer it, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import tritonclient.http as httpclient
from tritonclient.utils import InferenceServerException

from control_plane.domain.serving.server_flags import ServerFlags, ServerResource
from stack import triton, triton_wheel
from tests.support import models
from tests.support.triton import CONTROL_KEY, RunningTriton, eventually, running_triton

# All that a file in triton_configs/server can say: Triton takes each of them.
FLAGS = ServerFlags(
    name="launch",
    model_load_thread_count=5,
    exit_timeout_seconds=2,
    response_cache_bytes=1 << 20,
    rate_limit=True,
    rate_limit_resources=(ServerResource(name="heavy", count=2),),
    pinned_memory_pool_bytes=1 << 20,
    cuda_memory_pool_bytes={0: 1 << 20},
    buffer_manager_thread_count=2,
    http_thread_count=4,
    metrics_interval_ms=500,
    backend_config={"python": {"stub-timeout-seconds": "60"}},
)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningTriton]:
    with running_triton("launch", flags=FLAGS) as running:
        models.multiplier_model(running.repository, "m", 2.0)
        yield running


@pytest.fixture(params=["http", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def client(server: RunningTriton, protocol: str):
    return server.http_client() if protocol == "http" else server.grpc_client()


def test_an_empty_server_is_ready(client) -> None:
    assert client.is_server_ready()


CONTROL = {
    "load": lambda client, headers: client.load_model("m", headers=headers),
    "unload": lambda client, headers: client.unload_model("m", headers=headers),
    "index": lambda client, headers: client.get_model_repository_index(headers=headers),
    "trace": lambda client, headers: client.get_trace_settings(headers=headers),
    "set trace": lambda client, headers: client.update_trace_settings(
        settings={"trace_rate": "7"}, headers=headers
    ),
    "log": lambda client, headers: client.get_log_settings(headers=headers),
    "set log": lambda client, headers: client.update_log_settings(
        {"log_verbose_level": 0}, headers=headers
    ),
}
SHARED_MEMORY = {
    f"{kind} {verb}": call
    for kind, size in (("system", ("/r", 8)), ("cuda", (b"aGFuZGxl", 0, 8)))
    for verb, call in {
        "status": lambda client, headers, kind=kind: getattr(
            client, f"get_{kind}_shared_memory_status"
        )(headers=headers),
        "register": lambda client, headers, kind=kind, size=size: getattr(
            client, f"register_{kind}_shared_memory"
        )("r", *size, headers=headers),
        "unregister": lambda client, headers, kind=kind: getattr(
            client, f"unregister_{kind}_shared_memory"
        )("r", headers=headers),
        "unregister all": lambda client, headers, kind=kind: getattr(
            client, f"unregister_{kind}_shared_memory"
        )(headers=headers),
    }.items()
}


@pytest.mark.parametrize("verb", CONTROL)
def test_control_is_refused_without_its_key(
    server: RunningTriton, client, protocol: str, verb: str
) -> None:
    wrong = triton.control_headers(CONTROL_KEY + "x")[protocol]
    for headers in (None, wrong, server.shm[protocol]):
        with pytest.raises(InferenceServerException, match="restricted"):
            CONTROL[verb](client, headers)
    CONTROL[verb](client, server.control[protocol])


def test_a_refused_setting_stays_as_it_was(server: RunningTriton) -> None:
    ours = server.control["http"]
    for path, name, value in (
        ("/v2/trace/setting", "trace_rate", "3"),
        ("/v2/logging", "log_verbose_level", 1),
    ):
        _, before = server.call(path, headers=ours)
        assert str(before[name]) != str(value)
        status, said = server.call(path, {name: value})
        assert status == 403, said
        assert server.call(path, headers=ours) == (200, before)


@pytest.mark.parametrize("verb", SHARED_MEMORY)
def test_shared_memory_is_refused_without_its_key(
    server: RunningTriton, client, protocol: str, verb: str
) -> None:
    for headers in (None, server.control[protocol]):
        with pytest.raises(InferenceServerException, match="restricted"):
            SHARED_MEMORY[verb](client, headers)
    said = ""
    try:
        SHARED_MEMORY[verb](client, server.shm[protocol])
    except InferenceServerException as error:  # there is no such region, and no GPU
        said = str(error)
    assert "restricted" not in said


CLOSED = (
    *("/v2/repository/index", "/v2/repository/models/m/load", "/v2/repository/models/m/unload"),
    *("/v2/trace/setting", "/v2/models/m/trace/setting", "/v2/logging"),
    *(f"/v2/{kind}sharedmemory/status" for kind in ("system", "cuda")),
    *(f"/v2/{kind}sharedmemory/region/r/register" for kind in ("system", "cuda")),
    *(f"/v2/{kind}sharedmemory/unregister" for kind in ("system", "cuda")),
)


def test_no_spelling_of_an_address_gets_around_the_keys(server: RunningTriton) -> None:
    for path in CLOSED:
        head, _, last = path.rpartition("/")
        for spelled in (
            *(path, f"{path}/", f"/{path}", f"{head}//{last}", f"{head}/./{last}", f"{path}?a=b"),
            *(f"{head}/%{ord(last[0]):02x}{last[1:]}", f"{head}/{last.title()}", f"/x/..{path}"),
        ):
            for body in (None, {}):
                status, said = server.call(spelled, body)
                assert 400 <= status < 500, (spelled, status, said)
    assert server.call("/v2/health/ready")[0] == 200


def test_it_listens_on_the_loopback_only(server: RunningTriton) -> None:
    listening = {
        (connection.laddr.ip.removeprefix("::ffff:"), connection.laddr.port)
        for connection in psutil.Process(server.process.pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    options = server.options
    ports = (options.http_port, options.grpc_port, options.metrics_port)
    assert listening == {("127.0.0.1", port) for port in ports}


def test_it_knows_none_of_our_secrets(
    server: RunningTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://hidden-word")
    monkeypatch.setenv("NEREID_SECRET_KEY", "hidden-word")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden-word")
    assert "hidden-word" not in " ".join(triton.environment(server.options).values())


def test_headers_can_be_added_but_never_credentials() -> None:
    assert triton.header_pattern("") == triton.FORWARDED_HEADERS
    assert triton.header_pattern("x-region, x-team-.*").endswith("|^(?:x-region)$|^(?:x-team-.*)$")
    with pytest.raises(ValueError, match="Authorization"):
        triton.header_pattern("x-region,Authorization")


def test_site_packages_stay_as_they_are(server: RunningTriton) -> None:
    assert not (triton_wheel.wheel_root() / "backends" / "traffic").exists()
    stub = triton_wheel.wheel_root() / "backends" / "python" / "triton_python_backend_stub"
    assert not stub.exists()


def test_what_no_longer_belongs_leaves_the_backend_directory(tmp_path: Path) -> None:
    directory = triton.assemble_backend_directory(tmp_path)
    (directory / "old").mkdir()
    (directory / "onnxruntime" / "old.py").touch()
    (directory / "transform" / "nereid_transforms" / "old.py").touch()
    triton.assemble_backend_directory(tmp_path)
    assert not list(directory.rglob("old*"))
    assert (directory / "transform" / "nereid_transforms" / "transform.py").exists()
    wanted = {"python", "traffic", *triton.PYTHON_BASED_BACKENDS}
    assert {entry.name for entry in directory.iterdir()} == wanted


def test_a_killed_servers_stubs_and_memory_are_cleaned_up_and_only_its_own() -> None:
    with running_triton("killed") as dead, running_triton("alive") as alive:
        for server in (dead, alive):
            models.multiplier_model(server.repository, "m", 2.0)
            server.load("m")

        def memory(server: RunningTriton) -> list[Path]:
            return list(Path("/dev/shm").glob(f"{server.options.shm_prefix}*"))  # noqa: S108

        assert memory(dead)
        kept = memory(alive)
        stubs = psutil.Process(dead.process.pid).children()
        assert stubs
        dead.kill()
        triton.clean_leftovers(dead.options.name)
        assert memory(dead) == []
        eventually(lambda: not any(_runs(stub) for stub in stubs))
        # A living server of the name that is cleaned keeps what it uses.
        assert triton.clean_leftovers(alive.options.name) == []
        assert memory(alive) == kept
        with httpclient.InferenceServerClient(alive.options.http) as client:
            assert client.is_model_ready("m")


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

"""What the environment asks for, and the secrets that are made at the first start."""

import json
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from stack.settings import CHECKOUT, SettingsError, child_environment, load, load_secrets


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = load({})
    assert settings.home == CHECKOUT / ".nereid"
    assert settings.model_repository == CHECKOUT / "model_repository" / "live"
    assert settings.bind == "127.0.0.1"
    assert settings.ports() == {
        "NEREID_HTTP_PORT": 8080,
        "NEREID_TRITON_HTTP_PORT": 8000,
        "NEREID_TRITON_GRPC_PORT": 8001,
        "NEREID_TRITON_METRICS_PORT": 8002,
    }


def test_another_home_has_a_repository_of_its_own(tmp_path: Path) -> None:
    settings = load({"NEREID_HOME": str(tmp_path)})
    assert settings.model_repository == tmp_path / "model_repository" / "live"


def test_what_has_an_address_is_not_embedded(tmp_path: Path) -> None:
    settings = load(
        {
            "NEREID_HOME": str(tmp_path),
            "DATABASE_URL": "postgresql://db/nereid",
            "CELERY_BROKER_URL": "redis://broker",
            "NEREID_TRITON_URL": "http://triton:9000/",
        }
    )
    assert (settings.embeds_postgres, settings.embeds_broker, settings.embeds_triton) == (
        False,
        False,
        False,
    )
    assert settings.triton_http == "triton:9000"
    assert settings.triton_grpc == "triton:8001"
    assert settings.triton_metrics == "http://triton:8002/metrics"
    assert list(settings.ports()) == ["NEREID_HTTP_PORT"]


def test_servers_lie_beside_each_other_on_ports_and_in_folders_of_their_own(tmp_path: Path) -> None:
    settings = load(
        {
            "NEREID_HOME": str(tmp_path),
            "NEREID_SERVERS": "3",
            "NEREID_TRITON_GRPC_PORT_3": "9001",
            "NEREID_SERVER_LABELS": "zone=a",
            "NEREID_SERVER_LABELS_3": "zone=b",
        }
    )
    assert [s.name for s in settings.servers] == ["local", "local-2", "local-3"]
    assert [s.grpc_port for s in settings.servers] == [8001, 8011, 9001]
    assert [s.node_port for s in settings.servers] == [8003, 8013, 8023]
    assert [s.said["NEREID_SERVER_LABELS"] for s in settings.servers] == ["zone=a", "", "zone=b"]
    assert len({s.node_home for s in settings.servers}) == 3
    assert len({s.model_repository for s in settings.servers}) == 3
    assert [s.process("node") for s in settings.servers] == ["node", "node-2", "node-3"]
    # What was asked for by name is taken, or nothing is started; the rest gives way.
    assert settings.ports()["NEREID_TRITON_GRPC_PORT_3"] == 9001
    assert "NEREID_TRITON_GRPC_PORT_2" not in settings.ports()
    variables = child_environment(
        settings, load_secrets(settings), database_url="db", broker_url="broker"
    )
    assert variables["NEREID_NODE_PORT"] == "8003"
    assert settings.servers[2].variables()["NEREID_TRITON_GRPC"] == "127.0.0.1:9001"


def test_a_port_that_nobody_asked_for_gives_way(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        asked_for = load({"NEREID_HOME": str(tmp_path), "NEREID_HTTP_PORT": str(taken - 1)})
        first = replace(asked_for.first, node_port=taken)
        found = replace(asked_for, servers=(first,)).settled().first
    assert found.node_port != taken
    assert found.http_port == 8000, "and what clients were told stays"


def test_only_servers_that_are_started_here_can_be_several() -> None:
    with pytest.raises(SettingsError, match="NEREID_SERVERS=2: with NEREID_TRITON_URL"):
        load({"NEREID_SERVERS": "2", "NEREID_TRITON_URL": "triton:8000"})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NEREID_SERVERS", "0"),
        ("NEREID_SERVERS", "17"),
        ("NEREID_HTTP_PORT", "http"),
        ("NEREID_HTTP_PORT", "0"),
        ("NEREID_TRITON_GRPC_PORT", "65536"),
        ("NEREID_TRITON_URL", "triton"),
    ],
)
def test_nonsense_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}={value}"):
        load({variable: value})


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    settings = load({"NEREID_HOME": str(tmp_path)})
    first = load_secrets(settings)
    assert stat.S_IMODE(settings.secrets_file.stat().st_mode) == 0o600
    assert load_secrets(settings) == first
    kept = json.loads(settings.secrets_file.read_text())
    assert sorted(kept) == ["control_key", "secret_key", "shm_key"]
    assert len(set(kept.values())) == 3
    assert first.control_key not in repr(first)


def test_a_secret_of_the_environment_goes_first_and_is_not_kept(tmp_path: Path) -> None:
    settings = load({"NEREID_HOME": str(tmp_path), "NEREID_TRITON_CONTROL_KEY": "from outside"})
    assert load_secrets(settings).control_key == "from outside"
    assert "from outside" not in settings.secrets_file.read_text()


def test_secrets_left_open_are_closed(tmp_path: Path) -> None:
    settings = load({"NEREID_HOME": str(tmp_path)})
    load_secrets(settings)
    settings.secrets_file.chmod(0o644)
    load_secrets(settings)
    assert stat.S_IMODE(settings.secrets_file.stat().st_mode) == 0o600


def test_children_are_told_every_address(tmp_path: Path) -> None:
    everywhere = "0.0.0.0"
    settings = load({"NEREID_HOME": str(tmp_path), "NEREID_BIND": everywhere, "PATH": "/usr/bin"})
    variables = child_environment(
        settings, load_secrets(settings), database_url="postgresql://x", broker_url="redis://y"
    )
    assert variables["NEREID_TRITON_URL"] == "127.0.0.1:8000"
    assert variables["NEREID_TRITON_METRICS"] == "http://127.0.0.1:8002/metrics"
    assert variables["DATABASE_URL"] == "postgresql://x"
    assert variables["PATH"].endswith(":/usr/bin")


def test_children_are_told_what_they_read_for_themselves(tmp_path: Path) -> None:
    given = {
        "NEREID_ACCELERATOR": "gpu",
        "NEREID_ALLOWED_HOSTS": "nereid.example",
        "NEREID_CSRF_ORIGINS": "https://nereid.example",
        "NEREID_ENVIRONMENT": "staging",
        "NEREID_MAX_UPLOAD_BYTES": "1000000",
    }
    settings = load({"NEREID_HOME": str(tmp_path), **given})
    addresses = {"database_url": "postgresql://x", "broker_url": "redis://y"}
    variables = child_environment(settings, load_secrets(settings), **addresses)
    assert given.items() <= variables.items()
    settings = load({"NEREID_HOME": str(tmp_path)})
    variables = child_environment(settings, load_secrets(settings), **addresses)
    assert not given.keys() & variables.keys()

"""The compose files say what they mean to: their structure, and the promises we make about them.

The schema holds the part of the Compose Specification that we use, strictly: an option that is not
in it is more likely a slip than a feature.
"""

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from control_plane.domain.edge.files import BOOTSTRAP
from stack import triton
from stack.settings import CHECKOUT

STRINGS = {"type": "array", "items": {"type": "string"}}
COMMAND = {"oneOf": [{"type": "string"}, STRINGS]}
DURATION = {"type": "string", "pattern": r"^\d+(ms|s|m|h)$"}
SERVICE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "image": {"type": "string"},
        "build": {
            "type": "object",
            "additionalProperties": False,
            "required": ["context", "dockerfile"],
            "properties": {"context": {"type": "string"}, "dockerfile": {"type": "string"}},
        },
        "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
        "init": {"type": "boolean"},
        "user": {"type": "string"},
        "profiles": STRINGS,
        "command": COMMAND,
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "secrets": STRINGS,
        "volumes": {
            "type": "array",
            "items": {"type": "string", "pattern": r"^[^:]+:/[^:]+(:ro)?$"},
        },
        "ports": STRINGS,
        "shm_size": {"type": "string"},
        "stop_grace_period": DURATION,
        "depends_on": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["condition"],
                "properties": {
                    "condition": {
                        "enum": [
                            "service_started",
                            "service_healthy",
                            "service_completed_successfully",
                        ]
                    }
                },
            },
        },
        "healthcheck": {
            "type": "object",
            "additionalProperties": False,
            "required": ["test", "interval", "timeout"],
            "properties": {
                "test": {"type": "array", "prefixItems": [{"enum": ["CMD", "CMD-SHELL"]}]},
                "interval": DURATION,
                "timeout": DURATION,
                "start_period": DURATION,
                "retries": {"type": "integer"},
            },
        },
        "deploy": {"type": "object"},
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["services"],
    "patternProperties": {"^x-": {}},
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {"type": "object", "additionalProperties": SERVICE},
        "volumes": {"type": "object", "additionalProperties": {"type": ["object", "null"]}},
        "secrets": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["file"],
                "properties": {"file": {"type": "string"}},
            },
        },
    },
}
ONE_SHOTS = {"migrate", "traffic"}
EDGE = {"edge", "edge-files"}


def load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((CHECKOUT / name).read_text())
    return content


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return load("docker-compose.yml")


FILES = (
    "docker-compose.yml",
    *("deploy/compose.gpu.yml", "deploy/compose.oidc.yml", "deploy/compose.mlflow.yml"),
    *("deploy/compose.monitoring.yml", "deploy/compose.edge.yml"),
    "deploy/compose.bucket.yml",
)


@pytest.mark.parametrize("name", FILES)
def test_the_structure_is_that_of_the_specification(name: str) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(load(name))


def test_the_production_shape_is_whole(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == ONE_SHOTS | EDGE | {
        *("postgres", "broker", "api", "worker", "beat", "triton", "node")
    }
    asked_for = {name for name, one in compose["services"].items() if one.get("profiles")}
    assert asked_for == EDGE, "the rest starts in any case"


def test_what_is_named_is_declared(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert set(service.get("secrets", [])) <= set(compose["secrets"]), name
        assert set(service.get("depends_on", {})) <= set(compose["services"]), name
        sources = [volume.split(":")[0] for volume in service.get("volumes", [])]
        named = {source for source in sources if not source.startswith(".")}
        assert named <= set(compose["volumes"]), name
        for source in set(sources) - named:
            assert (CHECKOUT / source).exists(), name


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_a_variable_names_is_in_that_container(name: str) -> None:
    """A path of the host's is none there, and every process ends where one cannot be read."""
    for service, said in load(name)["services"].items():
        for variable, value in said.get("environment", {}).items():
            if variable.endswith("_FILE") and value:
                mounted = re.search(r"/run/secrets/(\w+)\}?$", value)
                assert mounted, f"{service}: {variable}={value}"
                assert mounted[1] in said["secrets"], f"{service}: {variable}={value}"


def test_waiting_for_health_means_there_is_a_health_check(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for other, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                assert "healthcheck" in services[other], f"{name} -> {other}"
            if wanted["condition"] == "service_completed_successfully":
                assert services[other]["restart"] == "no", f"{name} -> {other}"
    for name in set(services) - ONE_SHOTS:
        assert "healthcheck" in services[name], name


def test_no_secret_has_a_default_and_none_is_a_variable(compose: dict[str, Any]) -> None:
    for name, secret in compose["secrets"].items():
        assert re.fullmatch(rf"\$\{{NEREID_SECRETS:\?[^}}]*\}}/{name}", secret["file"])
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            sounds_secret = re.search(r"PASSWORD|SECRET|KEY|TOKEN", variable)
            # Where a secret lies is none.
            is_place = variable.endswith("_FILE") or value.startswith("/run/secrets/")
            assert not sounds_secret or is_place, f"{name}: {variable}"


def test_ports_are_published_on_the_loopback_unless_told_otherwise(
    compose: dict[str, Any],
) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert len(ports) == 6
    loopback = "${NEREID_BIND:-127.0.0.1}"
    for port in ports:
        assert port.startswith((f"{loopback}:", f"${{NEREID_EDGE_BIND:-{loopback}}}:"))


def test_triton_reads_the_repository_that_the_node_writes(compose: dict[str, Any]) -> None:
    assert "state:/var/lib/nereid:ro" in compose["services"]["triton"]["volumes"]
    assert "state:/var/lib/nereid" in compose["services"]["node"]["volumes"]
    # Code that people publish runs beside it: what callers sent is on a volume that it has not.
    store = compose["services"]["node"]["environment"]["NEREID_RECORDING_STORE"]
    with_it = {
        name
        for name, one in compose["services"].items()
        if f"recordings:{store}" in one.get("volumes", [])
    }
    assert {"api", "worker", "node"} <= with_it
    assert not with_it & {"triton", "traffic"}
    assert not store.startswith("/var/lib/nereid/")


def test_the_edge_finds_the_gate_and_reads_what_is_written_for_it(compose: dict[str, Any]) -> None:
    services = compose["services"]
    node, files, envoy = services["node"], services["edge-files"], services["edge"]
    host, _, port = node["environment"]["NEREID_NODE_GATE"].partition(":")
    assert host == "node"
    assert f"127.0.0.1:{port}/ready" in " ".join(node["healthcheck"]["test"])
    assert node["environment"]["NEREID_BIND"] == "0.0.0.0", "else nobody else reaches it"
    folder = files["environment"]["NEREID_EDGE_FOLDER"]
    for one in (files, envoy):
        assert f"edge:{folder}" in one["volumes"]
    command = envoy["command"]
    assert command[command.index("--config-path") + 1] == f"{folder}/{BOOTSTRAP}"
    # The files are their owner's alone, and a new volume has the image's.
    dockerfile = (CHECKOUT / "deploy" / "Dockerfile").read_text()
    assert re.search(rf"install -d -m 0700 -o nereid [^\n]* {folder}\b", dockerfile)
    assert re.search(rf"useradd [^\n]*--uid {envoy['user']} ", dockerfile)
    listens = {files["environment"][f"NEREID_EDGE_{one}_PORT"] for one in ("HTTP", "GRPC")}
    assert {one.rpartition(":")[2] for one in envoy["ports"]} == listens
    assert not envoy.get("secrets"), "who takes callers' requests has no key"


def test_the_edge_is_told_whatever_an_edge_can_be(compose: dict[str, Any]) -> None:
    read = (CHECKOUT / "control_plane/adapters/edge/environment.py").read_text()
    wanted = set(re.findall(r"NEREID_EDGE_\w+", read))
    told = compose["services"]["edge-files"]["environment"]
    more = load("deploy/compose.edge.yml")["services"]["edge-files"]["environment"]
    assert wanted <= told.keys() | more.keys()


def test_the_container_is_told_the_same_as_the_embedded_triton(tmp_path: Path) -> None:
    options = triton.TritonOptions(
        node_home=tmp_path,
        repository=Path("/var/lib/nereid/model_repository/live"),
        control_key="$(cat /run/secrets/control_key)",
        shm_key="$(cat /run/secrets/shm_key)",
    )
    embedded = {flag.split("=")[0] for flag in triton.command(options)[1:]}
    script = (CHECKOUT / "deploy" / "start_triton.sh").read_text()
    container = set(re.findall(r"^    (--[a-z-]+)=", script, re.MULTILINE))
    # What depends on where things lie and listen, and on what the wheel lacks.
    local = {
        *("--backend-directory", "--http-address", "--http-port", "--grpc-address", "--grpc-port"),
        *("--metrics-address", "--metrics-port", "--allow-gpu-metrics"),
        "--pinned-memory-pool-byte-size",
    }
    assert embedded - local == container
    assert triton.FORWARDED_HEADERS in script
    for apis, header in (
        (triton.CONTROL_APIS, triton.CONTROL_HEADER),
        (triton.SHM_APIS, triton.SHM_HEADER),
    ):
        assert f"{apis}:{header}=" in script


def test_secrets_are_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    script = CHECKOUT / "deploy" / "make_secrets.sh"
    subprocess.run([script, folder], check=True, capture_output=True)
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(made) == set(load("docker-compose.yml")["secrets"])
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{40,}", value) for value in made.values())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    again = subprocess.run([script, folder], check=True, capture_output=True, text=True)
    assert again.stdout == ""
    assert {path.name: path.read_text() for path in folder.iterdir()} == made


def test_the_entrypoint_leaves_a_given_address_alone() -> None:
    script = CHECKOUT / "deploy" / "entrypoint.sh"
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": "postgresql://db/nereid"}
    said = subprocess.run(
        ["/bin/sh", script, "/usr/bin/env"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "DATABASE_URL=postgresql://db/nereid" in said.stdout
    assert "CELERY_BROKER_URL" not in said.stdout

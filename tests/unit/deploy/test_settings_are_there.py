"""What can be set can be set in containers, too: no variable is forgotten when one is added."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from control_plane.adapters.secret_files import SECRETS
from stack.passed_on import PASSED_ON
from stack.settings import CHECKOUT
from tests.support.kustomize import build

HAS_AN_OWN_WAY = {
    **{f"NEREID_MLFLOW_{name}": "a secret: an overlay mounts it" for name in ("TOKEN", "PASSWORD")},
    "NEREID_MLFLOW_USERNAME": "with the password",
    "NEREID_OIDC_CLIENT_SECRET": "a secret: an overlay mounts it",
    "NEREID_PROMETHEUS_TOKEN": "a secret: an overlay mounts it",
    "NEREID_THROTTLE_STORE": "the broker, which is there",
    "NEREID_ARTIFACT_CACHE": "beside the artifacts, on a volume that is there",
    "NEREID_RECORDING_CACHE": "where recordings are in a bucket: that overlay names it",
    "NEREID_LAB": "no server of a fleet is for trials by itself",
    "NEREID_SERVER_CONFIG": "Triton's flags are in its own command line",
    "NEREID_RECORDINGS_ASKED": "beside the node's memory, which Triton sees",
    "OTEL_EXPORTER_OTLP_HEADERS": "may hold a secret: an overlay mounts it",
}
"""Variables that a deployment names otherwise, or not at all, and why."""

OFTEN = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"}
"""Of OpenTelemetry's many; whoever wants another adds it."""


def told_by_compose() -> set[str]:
    files = (CHECKOUT / "docker-compose.yml", *(CHECKOUT / "deploy").glob("compose.*.yml"))
    documents = [yaml.safe_load(path.read_text()) for path in files]
    services = [one for document in documents for one in document["services"].values()]
    return {name for one in services for name in one.get("environment", {})}


def told_by_kubernetes() -> set[str]:
    found: set[str] = set()
    for overlay in ("cpu-edge", "gpu"):
        for one in build(CHECKOUT / "deploy" / "kubernetes" / "overlays" / overlay):
            if one["kind"] == "ConfigMap":
                found |= one["data"].keys()
            found |= {said["name"] for said in _env(one)}
    return found


def _env(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        own = node.get("env", [])
        return [*own, *(said for value in node.values() for said in _env(value))]
    if isinstance(node, list):
        return [said for value in node for said in _env(value)]
    return []


def settings() -> set[str]:
    """Every variable that the control plane reads."""
    folder = CHECKOUT / "control_plane" / "settings"
    text = "\n".join(path.read_text() for path in folder.glob("*.py"))
    own = set(re.findall(r"\bNEREID_[A-Z0-9_]+\b", text))
    # What is passed on, or read by its name, and not what Django calls a setting of its own.
    read = set(re.findall(r"""["'(](NEREID_[A-Z0-9_]+)["')]""", text))
    return (own & set(PASSED_ON)) | read | OFTEN


@pytest.mark.parametrize("told", [told_by_compose, told_by_kubernetes])
def test_every_setting_can_be_set(told: Any) -> None:
    there = told()
    there |= {name.removesuffix("_FILE") for name in there}
    wanted = {name for name in settings() if not name.endswith(("_FILE", "_"))}
    missing = wanted - there - HAS_AN_OWN_WAY.keys()
    assert not missing, f"{', '.join(sorted(missing))}: nobody passes them on"


def test_secrets_are_files_there() -> None:
    for told in (told_by_kubernetes(), told_by_compose()):
        keys = {name for name in SECRETS if name.startswith("NEREID_")}
        assert {f"{name}_FILE" for name in keys} <= told
        assert not keys & told

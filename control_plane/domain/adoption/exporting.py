"""A version as a plain Triton model directory: one that is served without Nereid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from control_plane.domain.planning.model_config import ANY_SERVER, Config, version_config
from control_plane.domain.planning.plan import VersionSpec
from control_plane.domain.registry.frameworks import ENVIRONMENT, code_in
from control_plane.domain.serving.details import MODEL_FOLDER
from control_plane.domain.serving.sequence_fit import initial_files
from control_plane.domain.violations import ConflictError

_ENVIRONMENT = "EXECUTION_ENV_PATH"
_TRITON_FOLDER = "$$TRITON_MODEL_DIRECTORY/"

OURS = {
    "onnxruntime": "NVIDIA's own backend of that name serves it as well",
    "pytorch": "NVIDIA's own backend of that name serves TorchScript as well",
    "transform": "it is Nereid's",
    "cascade": "it is Nereid's",
    "weighted_average": "it is Nereid's",
    "remote": "it is Nereid's",
}
"""Backends that Nereid brings, and what a server without them may have in their place."""


@dataclass(frozen=True)
class Exported:
    """What is written for a version.

    `config` is that of the directory, `files` what lies in it by its path (sha256); those of the
    version's own folder begin with its number. `lost` says what plain Triton has no word for.
    """

    config: Config
    files: Mapping[str, str]
    lost: tuple[str, ...]

    @property
    def backend(self) -> str:
        return str(self.config["backend"])


def exported(spec: VersionSpec) -> Exported:
    """The version with its serving profile, for whatever server loads it.

    Raises:
        ConflictError: it cannot be compiled: its profile is gone, or cannot be read.
    """
    if spec.profile is None:
        raise ConflictError(f"{spec.model}:{spec.number}: {spec.profile_error}")
    config = dict(
        version_config(
            spec.framework,
            spec.signature,
            spec.profile,
            ANY_SERVER,
            main_file=spec.main_file,
            parameters=spec.parameters,
            details=spec.details,
        )
    )
    if policy := spec.details.version_policy:
        config["version_policy"] = policy.model_dump(mode="json", exclude_none=True)
    environment = _environment(config)
    files = {_placed(path, spec, environment): sha256 for path, sha256 in spec.placed.items()}
    return Exported(config, files, tuple(_lost(spec)))


def _environment(config: dict[str, Any]) -> str:
    """The name of the execution environment, which the configuration finds beside the versions."""
    said = config.get("parameters", {}).get(_ENVIRONMENT, {}).get("string_value", "")
    name = str(said).rpartition("/")[2]
    if name:
        parameter = {"string_value": f"{_TRITON_FOLDER}{name}"}
        config["parameters"] = {**config["parameters"], _ENVIRONMENT: parameter}
    return name


def _placed(path: str, spec: VersionSpec, environment: str) -> str:
    if path.startswith(MODEL_FOLDER):
        return path.removeprefix(MODEL_FOLDER)
    # Beside the versions: a configuration is for all of them, and names no version's folder.
    beside = [*spec.details.libraries, *(initial_files(spec.profile) if spec.profile else [])]
    if path in beside or (path == environment and ENVIRONMENT in code_in([path])):
        return path
    return f"{spec.number}/{path}"


def _lost(spec: VersionSpec) -> list[str]:
    found = []
    if spec.golden_sha256:
        found.append("its golden examples: plain Triton checks none")
    warmup = spec.profile.model_warmup if spec.profile else None
    if warmup and warmup.data == "golden" and spec.golden_shapes and not spec.details.model_warmup:
        found.append("the data of its warm-up, which are golden examples: it warms up with zeros")
    if spec.p99_ms:
        found.append(f"the promise of a p99 of {spec.p99_ms:g} ms")
    return found

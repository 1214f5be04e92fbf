"""Policy and versions -> Plan: every directory and file a Triton needs for an endpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from control_plane.domain.names import physical_name
from control_plane.domain.planning.model_config import (
    ACCELERATORS,
    Config,
    onnx_config,
    router_config,
)
from control_plane.domain.planning.profile import ServingProfile
from control_plane.domain.routing.compact import FILE_NAME, PINNED_LIMIT, compact_policy
from control_plane.domain.routing.policy import SLOTS, Arm, RoutingPolicy
from control_plane.domain.signature import Signature, differences
from control_plane.domain.violations import InvalidInputError, Violation


@dataclass(frozen=True)
class VersionSpec:
    """What planning needs of a model version; `sha256` is the artifact's hex digest."""

    model: str
    number: int
    framework: str
    sha256: str
    signature: Signature
    profile: ServingProfile


@dataclass(frozen=True)
class ModelDirectory:
    """One directory of a Triton model repository, as values.

    `variants` holds the configuration for each kind of server, `links` the files that come
    from the artifact store (path -> sha256), `texts` the files that are written (path -> text).
    Paths are relative to the directory.
    """

    name: str
    variants: Mapping[str, Config]
    links: Mapping[str, str]
    texts: Mapping[str, str]


@dataclass(frozen=True)
class PlannedArm:
    """An arm of the policy together with the physical model that answers for it."""

    arm: Arm
    physical: str


@dataclass(frozen=True)
class Plan:
    """Everything that serves one endpoint at one generation; immutable, with its digest."""

    endpoint: str
    generation: int
    arms: tuple[PlannedArm, ...]
    models: tuple[ModelDirectory, ...]
    router: ModelDirectory

    @property
    def physical_names(self) -> frozenset[str]:
        return frozenset(model.name for model in self.models)

    @property
    def digest(self) -> str:
        """Hex sha256 over the whole content, the generation included."""
        return _sha256(self.to_document())

    def to_document(self) -> dict[str, Any]:
        """The JSON form, kept in the revision and on every node's disk."""
        return {
            "endpoint": self.endpoint,
            "generation": self.generation,
            "arms": [
                {
                    "name": p.arm.name,
                    "model": p.arm.model,
                    "version": p.arm.version,
                    "weight": p.arm.weight,
                    "primary": p.arm.primary,
                    "physical": p.physical,
                }
                for p in self.arms
            ],
            "models": [_directory_document(m) for m in self.models],
            "router": _directory_document(self.router),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Plan:
        """The inverse of `to_document`; raises KeyError or TypeError on anything else."""
        return cls(
            endpoint=document["endpoint"],
            generation=document["generation"],
            arms=tuple(
                PlannedArm(
                    Arm(a["name"], a["model"], a["version"], a["weight"], a["primary"]),
                    a["physical"],
                )
                for a in document["arms"]
            ),
            models=tuple(ModelDirectory(**m) for m in document["models"]),
            router=ModelDirectory(**document["router"]),
        )


def compile_plan(
    *,
    endpoint: str,
    generation: int,
    policy: RoutingPolicy,
    versions: Mapping[tuple[str, int], VersionSpec],
) -> Plan:
    """Compiles a policy into the files that serve it.

    Args:
        endpoint: public name of the router.
        generation: of the endpoint's intent.
        policy: as parsed by `domain.routing.policy`.
        versions: by (model, number); those the arms name.

    Raises:
        InvalidInputError: an arm names a version that is not there, or the arms differ in
            what they take or give.
    """
    _check_arms(policy, versions)
    models = {arm: physical_directory(versions[arm.model, arm.version]) for arm in policy.arms}
    router = _router_directory(
        endpoint, generation, policy, versions, {arm: models[arm] for arm in policy.arms}
    )
    return Plan(
        endpoint=endpoint,
        generation=generation,
        arms=tuple(PlannedArm(arm, models[arm].name) for arm in policy.arms),
        models=tuple(models.values()),
        router=router,
    )


def physical_directory(version: VersionSpec) -> ModelDirectory:
    """The immutable directory of one version under one serving configuration.

    The digest leaves the name out and covers the variants of every kind of server, so a
    physical name means the same everywhere (DESIGN section 1).
    """
    if version.framework != "onnx":
        raise InvalidInputError(
            [Violation("/framework", "unsupported", f"cannot serve {version.framework!r} yet")]
        )
    variants = {
        accelerator: onnx_config(version.signature, version.profile, accelerator)
        for accelerator in ACCELERATORS
    }
    links = {"1/model.onnx": version.sha256}
    digest = _sha256({"variants": variants, "links": links})
    name = physical_name(version.model, version.number, digest)
    return ModelDirectory(name=name, variants=variants, links=links, texts={})


def _check_arms(policy: RoutingPolicy, versions: Mapping[tuple[str, int], VersionSpec]) -> None:
    found: list[Violation] = []
    first: Arm | None = None
    for i, arm in enumerate(policy.arms):
        spec = versions.get((arm.model, arm.version))
        if spec is None:
            detail = f"{arm.model} has no version {arm.version} that is ready to serve"
            found.append(Violation(f"/arms/{i}/version", "not_found", detail))
            continue
        if first is None:
            first = arm
            continue
        reference = versions[first.model, first.version].signature
        if differing := differences(reference, spec.signature):
            detail = (
                f"{arm.model} version {arm.version} differs from {first.model} version "
                f"{first.version}: {'; '.join(differing)}. Arms of one endpoint take and give "
                "the same tensors; serve the other on an endpoint of its own"
            )
            found.append(Violation(f"/arms/{i}", "signature", detail))
    if found:
        raise InvalidInputError(found)


def _router_directory(
    endpoint: str,
    generation: int,
    policy: RoutingPolicy,
    versions: Mapping[tuple[str, int], VersionSpec],
    models: Mapping[Arm, ModelDirectory],
) -> ModelDirectory:
    primary = policy.primary
    signature = versions[primary.model, primary.version].signature
    variants = {
        accelerator: router_config(
            signature,
            [models[arm].variants[accelerator] for arm in policy.arms],
            endpoint,
            generation,
        )
        for accelerator in ACCELERATORS
    }
    texts = {
        f"{PINNED_LIMIT}/{FILE_NAME}": compact_policy(
            endpoint=endpoint,
            generation=generation,
            arms=[(models[arm].name, arm.weight) for arm in policy.arms],
            primary=models[primary].name,
        )
    }
    for arm in _pinned(endpoint, policy):
        texts[f"{arm.version}/{FILE_NAME}"] = compact_policy(
            endpoint=endpoint,
            generation=generation,
            arms=[(models[arm].name, SLOTS)],
            primary=models[arm].name,
        )
    return ModelDirectory(name=endpoint, variants=variants, links={}, texts=texts)


def _pinned(endpoint: str, policy: RoutingPolicy) -> Sequence[Arm]:
    """The arms that callers can reach by version number.

    Numbers belong to one model: the one that bears the endpoint's name, else the primary's.
    """
    models = [arm.model for arm in policy.arms]
    numbered = endpoint if endpoint in models else policy.primary.model
    return [arm for arm in policy.arms if arm.model == numbered]


def _directory_document(directory: ModelDirectory) -> dict[str, Any]:
    return {
        "name": directory.name,
        "variants": dict(directory.variants),
        "links": dict(directory.links),
        "texts": dict(directory.texts),
    }


def _sha256(document: object) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()

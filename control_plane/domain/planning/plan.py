"""The plan: every directory and file a Triton needs for an endpoint, as values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from control_plane.domain.planning.model_config import ACCELERATORS, Config
from control_plane.domain.routing.document import parse_policy
from control_plane.domain.routing.policy import Allowance, Arm, Rescue, RoutingPolicy
from control_plane.domain.routing.slots import Key, Run, table_of
from control_plane.domain.serving.callers import callers_signature
from control_plane.domain.serving.details import NO_DETAILS, Details, main_file
from control_plane.domain.serving.hardware import HardwareProfile
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.serving.warmup import Shapes
from control_plane.domain.signature import Signature


@dataclass(frozen=True)
class VersionSpec:
    """What planning needs of a model version; `sha256` is the artifact's hex digest.

    `profile` None cannot be read: `profile_error` says why, and only a model that is loaded
    already goes on serving; `profile_revision` None is one that comes with Nereid. `files` are
    those of an archive (name -> sha256) and `sizes` their bytes, `golden_sha256` is the digest of
    its examples and `golden_shapes` the shapes of their inputs, `parameters` what the backend is
    told of the model, `details` what else its configuration says of it; `unserved` says why no plan
    can serve it yet. `signature` is what the model has, `callers` what is left of it for callers;
    `p99_ms` is what was promised of the model. The version's `overrides` are in `profile` already;
    `hardware` are the hardware profiles in use.
    """

    model: str
    number: int
    framework: str
    sha256: str
    signature: Signature
    profile: ServingProfile | None
    profile_error: str = ""
    profile_revision: int | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    golden_sha256: str = ""
    golden_shapes: Sequence[Shapes] = ()
    unserved: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    details: Details = NO_DETAILS
    p99_ms: float | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    hardware: tuple[HardwareProfile, ...] = ()

    @property
    def callers(self) -> Signature:
        return callers_signature(self.signature, self.profile, self.details)

    @property
    def main_file(self) -> str:
        """The model's own file, in its version's folder."""
        return main_file(self.framework, self.details, self.files)

    @property
    def placed(self) -> Mapping[str, str]:
        """The files that it is served with (name -> sha256): a backend of its own may need none."""
        if self.files or not self.main_file:
            return self.files
        return {self.main_file: self.sha256}


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

    def variant_on(self, accelerator: str, hardware: str = "") -> str:
        """The variant that a server takes: its hardware profile's where there is one."""
        return hardware if hardware in self.variants else accelerator

    @property
    def max_batch_size(self) -> int:
        """How many rows a batch may hold; 0 where there are no batches."""
        return int(self.variants[ACCELERATORS[0]]["max_batch_size"])


@dataclass(frozen=True)
class PlannedArm:
    """An arm of the policy together with the physical model that answers for it.

    `grant` tells its allowance from any other that the arm ever had; empty where it has none.
    """

    arm: Arm
    physical: str
    grant: str = ""


@dataclass(frozen=True)
class PlannedStep:
    """A step of a pipeline, within others or not, with the physical model that runs it.

    What a `pipeline` of a kind of its own runs (a cascade) follows as steps of its own.
    """

    step: str
    model: str
    version: int
    physical: str
    pipeline: bool = False

    def to_document(self) -> dict[str, Any]:
        document = asdict(self)
        if not self.pipeline:
            del document["pipeline"]
        return document


@dataclass(frozen=True)
class Plan:
    """Everything that serves one endpoint at one generation; immutable, with its digest.

    `slots` is the slot table run by run, `policy` the document it was compiled from (empty in
    plans of before there was more to a policy than its arms). An `urgent` plan is switched to
    as soon as the arms that get requests are ready: those that rest need not be.
    `profiles` has the revisions of the serving profiles that physical models were compiled with,
    where somebody added those; `pipelines` the steps of those physical models that are pipelines.
    `models` stand in the order in which they can be loaded: a pipeline after its members.
    """

    endpoint: str
    generation: int
    arms: tuple[PlannedArm, ...]
    models: tuple[ModelDirectory, ...]
    router: ModelDirectory
    slots: tuple[Run, ...] = ()
    policy: Mapping[str, Any] = field(default_factory=dict)
    urgent: bool = False
    profiles: Mapping[str, int] = field(default_factory=dict)
    pipelines: Mapping[str, tuple[PlannedStep, ...]] = field(default_factory=dict)

    @property
    def routing(self) -> RoutingPolicy:
        """The policy as a value."""
        if self.policy:
            return parse_policy(self.policy)
        arms = tuple(planned.arm for planned in self.arms)
        return RoutingPolicy(arms, breaker=None, rescue=Rescue(enabled=False))

    @property
    def keys(self) -> tuple[Key, ...]:
        """What the arms' slots are known by, in their order."""
        return tuple(planned.arm.place for planned in self.arms)

    @property
    def versions(self) -> dict[Key, str]:
        """Every version that is served, as an arm or as a step of one: its physical model.

        A twin is no other version: it is there beside the arm that it is the twin of.
        """
        plain = [p for p in self.arms if not (p.arm.pipeline or p.arm.twin)]
        arms = {p.arm.key: p.physical for p in plain}
        steps = {
            (step.model, step.version): step.physical
            for steps in self.pipelines.values()
            for step in steps
            if not step.pipeline
        }
        return arms | steps

    @property
    def profile_revisions(self) -> dict[Key, int]:
        """The revisions of serving profiles that versions were compiled with, as in `profiles`."""
        return {
            key: self.profiles[physical]
            for key, physical in self.versions.items()
            if physical in self.profiles
        }

    @property
    def grants(self) -> frozenset[str]:
        """The words under which the routers count the arms' allowances."""
        return frozenset(planned.grant for planned in self.arms if planned.grant)

    def grants_elsewhere(self, server: str) -> frozenset[str]:
        """Those of the allowances that are given to other servers, and not to this one."""
        return frozenset(
            planned.grant
            for planned in self.arms
            if planned.arm.allowance
            and planned.arm.allowance.servers is not None
            and server not in planned.arm.allowance.servers
        )

    @property
    def slot_table(self) -> tuple[Key, ...]:
        """Every slot's model and version."""
        # The routers of before wrote the weights as runs, one after the other.
        found = self.slots or tuple((i, p.arm.weight) for i, p in enumerate(self.arms))
        return table_of(found, self.keys)

    @property
    def max_batch_size(self) -> int:
        """How many rows a caller's batch may hold; 0 where there are no batches."""
        return self.router.max_batch_size

    @property
    def required(self) -> frozenset[str]:
        """The physical models that have to be ready before the router is switched."""
        if not self.urgent:
            return self.physical_names
        used = in_use(self.arms, self.policy)
        steps = (step.physical for one in used for step in self.pipelines.get(one, ()))
        return frozenset((*used, *steps))

    @property
    def physical_names(self) -> frozenset[str]:
        return frozenset(model.name for model in self.models)

    @property
    def digest(self) -> str:
        """Hex sha256 over the whole content, the generation included."""
        return digest_of(self.to_document())

    def to_document(self) -> dict[str, Any]:
        """The JSON form, kept in the revision and on every node's disk."""
        return {
            "endpoint": self.endpoint,
            "generation": self.generation,
            "arms": [_arm_document(p) for p in self.arms],
            "models": [_directory_document(m) for m in self.models],
            "router": _directory_document(self.router),
            "slots": [list(run) for run in self.slots],
            "policy": dict(self.policy),
            "urgent": self.urgent,
            # Left out where there are none: plans that were approved without keep their digest.
            **({"profiles": dict(self.profiles)} if self.profiles else {}),
            **({"pipelines": _steps_document(self.pipelines)} if self.pipelines else {}),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Plan:
        """The inverse of `to_document`; raises KeyError or TypeError on anything else.

        The policy is not parsed here: a node reads its plans with no use for it.
        """
        return cls(
            endpoint=document["endpoint"],
            generation=document["generation"],
            arms=tuple(_planned_arm(a) for a in document["arms"]),
            models=tuple(ModelDirectory(**m) for m in document["models"]),
            router=ModelDirectory(**document["router"]),
            slots=tuple((index, count) for index, count in document.get("slots", ())),
            policy=document.get("policy", {}),
            urgent=document.get("urgent", False),
            profiles=document.get("profiles", {}),
            pipelines={
                physical: tuple(PlannedStep(**step) for step in steps)
                for physical, steps in document.get("pipelines", {}).items()
            },
        )


def in_use(arms: Sequence[PlannedArm], policy: Mapping[str, Any]) -> list[str]:
    """The physical models that get requests, the primary's among them: it takes what others fail.

    Read from the document as it is: a node has no use for a policy that is parsed.
    """
    named = {one.get("arm") for part in ("rules", "shadow") for one in policy.get(part) or ()}
    return [
        planned.physical
        for planned in arms
        if planned.arm.primary or planned.arm.weight or planned.arm.name in named
    ]


def digest_of(document: object) -> str:
    """Hex sha256 of a JSON document, whatever the order of its keys."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _arm_document(planned: PlannedArm) -> dict[str, Any]:
    document = {**asdict(planned.arm), "physical": planned.physical, "grant": planned.grant}
    if not planned.arm.pipeline:
        del document["pipeline"]
    # Plans that were approved before arms could have either keep their digest.
    if planned.arm.overrides is None:
        del document["overrides"]
    if not planned.arm.twin:
        del document["twin"]
    return document


def _steps_document(
    pipelines: Mapping[str, tuple[PlannedStep, ...]],
) -> dict[str, list[dict[str, Any]]]:
    return {
        physical: [step.to_document() for step in steps] for physical, steps in pipelines.items()
    }


def _planned_arm(document: Mapping[str, Any]) -> PlannedArm:
    values = {k: v for k, v in document.items() if k not in ("physical", "grant")}
    if values.get("allowance"):
        values["allowance"] = _allowance(values["allowance"])
    return PlannedArm(Arm(**values), document["physical"], document.get("grant", ""))


def _allowance(values: Mapping[str, Any]) -> Allowance:
    servers = values.get("servers")
    return Allowance(**{**values, "servers": None if servers is None else tuple(servers)})


def _directory_document(directory: ModelDirectory) -> dict[str, Any]:
    return {
        "name": directory.name,
        "variants": dict(directory.variants),
        "links": dict(directory.links),
        "texts": dict(directory.texts),
    }
